-- Reshapes a small shop into what a CRM wants to see. Used by ./quickstart; see README.md beside this file.

-- customers -> crm.people: two columns joined, one split, one masked, two removed, the key renamed.
route("shop.customers", function(c)
  if c.op ~= "truncate" then
    local r = c.row
    c:add("full_name", r.first_name .. " " .. r.last_name)
    local first, domain
    if r.email then
      first, domain = r.email:lower():match("^(.)[^@]*@(.+)$")
      r.email = first and (first .. "***@" .. domain) or "***"
    end
    c:add("email_domain", domain)                  -- nil is NULL
    c:rename { id = "person_id" }:remove("first_name", "last_name", "phone")
  end
  c:to("crm.people")
end)

-- orders -> crm.orders with other names, and a second row in crm.order_events whenever the status moves.
route("shop.orders", function(c)
  if c.op == "insert" or (c.op == "update" and c:changed("status")) then
    emit(c:clone { op = "insert" }:keep("id", "status"):rename { id = "order_id" }:to("crm.order_events"))
  end
  if c.op ~= "truncate" then
    c:rename { id = "order_id", customer_id = "person_id", amount = "total" }
  end
  c:to("crm.orders")
end)

-- Not for the CRM.
route("shop.audit", function(c)
  return DROP
end)

-- A column that customers get passes through to crm.people, which has another name: so the script says what to do there.
-- Only where the values of the rows that are there already are known: NULL. Anything else waits for a person.
local types = { int = "integer", bigint = "bigint", text = "text", date = "date", double = "double precision" }

function ddl(e)
  if e.kind ~= "alter_table" or e.schema ~= "shop" or e.table ~= "customers" then return end
  local added = {}
  for _, col in ipairs(e.columns) do
    local type = col.type and types[col.type:lower()]
    if col.action ~= "add" or not type or e.sql:upper():find("NOT%s+NULL") or e.sql:upper():find("DEFAULT") then
      return PAUSE
    end
    added[#added + 1] = ('ADD COLUMN "%s" %s'):format(col.name, type)
  end
  return "ALTER TABLE crm.people " .. table.concat(added, ", ")
end
