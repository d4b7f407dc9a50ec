-- Keeps a history: besides the row itself, every change of shop.orders becomes a row of audit.orders_log, old and new side by side.
--
-- A change has one LSN and makes one entry, so log_lsn is the key: where delivery is at least once, a repeated entry is recognised by it.

local watched = { "status", "amount" }   -- updates of anything else are not logged

local function as_table(row)
  local t = {}
  for name, value in pairs(row) do
    if value == nil then
      t[name] = json.null
    elseif type(value) == "userdata" then
      t[name] = tostring(value)          -- decimals and times as their exact text
    else
      t[name] = value
    end
  end
  return t
end

local function log(c, key)
  local entry = c:clone { op = "insert" }
  entry:add {
    log_lsn = c.lsn,
    log_op = c.op,
    log_at = now(),
    log_row = json.encode(as_table(c.row)),
    log_key = key,
  }
  entry:add("log_old", c.op == "update" and json.encode(as_table(c.old)) or nil)
  entry:keep("log_lsn", "log_op", "log_at", "log_key", "log_row", "log_old")
  emit(entry:set_key("log_lsn"):to("audit.orders_log"))
end

route("shop.orders", function(c)
  if c.op == "truncate" then return end
  if c.op ~= "update" or c:changed(watched) then
    log(c, c.row.id)
  end
end)
