-- crm.contacts.full_name becomes given_name and family_name; everything else passes.
--
-- Names are not that simple everywhere: "family, given" is understood, otherwise the last word is the family name.

local function split(full)
  if full == nil then return nil, nil end
  full = full:match("^%s*(.-)%s*$")
  local family, given = full:match("^(.-)%s*,%s*(.*)$")
  if family then return given, family end
  given, family = full:match("^(.*%S)%s+(%S+)$")
  if given then return given, family end
  return nil, full
end

route("crm.contacts", function(c)
  if c.op == "truncate" then return end
  if c:has("full_name") then          -- an update that did not send it (MINIMAL) leaves both names as they are
    local given, family = split(c.row.full_name)
    c:add("given_name", given):add("family_name", family)
  end
  c:remove("full_name")
end)
