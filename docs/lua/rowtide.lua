---@meta
-- Annotations for editors (Lua language server, LuaCATS). Not a script: point "workspace.library" at this folder.
-- What everything means: ../lua-api.md

---@alias rowtide.Value nil|boolean|integer|number|string|rowtide.Decimal|rowtide.Date|rowtide.Datetime|rowtide.Instant|rowtide.Duration

--- One row. Columns are fields; nil is SQL NULL; an unknown or absent column is an error.
---@class rowtide.Row
---@field [string] rowtide.Value|table

--- One change of one row, or the truncation of a table.
---@class rowtide.Change
---@field op "insert"|"update"|"delete"|"truncate"
---@field schema string          source schema
---@field table string           source table
---@field row rowtide.Row        the new row; of a delete, the old one
---@field old? rowtide.Row       the old row; nil for an insert. Read-only
---@field key rowtide.Value[]    values of the key columns
---@field ts rowtide.Instant     commit time at the source
---@field lsn integer            position in the slot
---@field gtid? string           of the transaction
---@field seq integer            number among the outputs of this change
local Change = {}

--- Renames columns, all at once.
---@param names table<string, string>  old name to new name
---@return rowtide.Change self
function Change:rename(names) end

--- Removes columns.
---@param ... string|string[]
---@return rowtide.Change self
function Change:remove(...) end

--- Removes all other columns.
---@param ... string|string[]
---@return rowtide.Change self
function Change:keep(...) end

--- Adds columns behind the others.
---@param name string
---@param value rowtide.Value  nil is NULL
---@return rowtide.Change self
---@overload fun(self: rowtide.Change, columns: table<string, rowtide.Value>): rowtide.Change
function Change:add(name, value) end

--- Sets the target: "schema.table", "table", or schema and table apart.
---@param target string
---@param table? string
---@return rowtide.Change self
function Change:to(target, table) end

--- Says which columns identify the row at the destination; none: the whole row.
---@param ... string|string[]
---@return rowtide.Change self
function Change:set_key(...) end

--- An independent copy, for emit().
---@param options? { op: "insert"|"update"|"delete" }
---@return rowtide.Change copy
---@nodiscard
function Change:clone(options) end

--- Did the source change any of these columns (without names: any at all)?
---@param ... string|string[]
---@return boolean
---@nodiscard
function Change:changed(...) end

--- Are these columns of the table, and present in this change?
---@param ... string|string[]
---@return boolean
---@nodiscard
function Change:has(...) end

--- Handlers may return this: the change is dropped.
---@class rowtide.Drop
DROP = {}

--- ddl() may return this: the subscription stops before the statement.
---@class rowtide.Pause
PAUSE = {}

--- Defined by the script: called for each change of a table without a route.
---@param c rowtide.Change
---@return rowtide.Change|rowtide.Drop|nil
function transform(c) end

--- Registers the handler of one table. At the top level of the script only.
---@param table string  "schema.table" at the source
---@param handler fun(c: rowtide.Change): rowtide.Change|rowtide.Drop|nil
function route(table, handler) end

--- Adds a row to the output, as it is now, behind the change.
---@param c rowtide.Change
function emit(c) end

--- Commit time of the change at hand.
---@return rowtide.Instant
---@nodiscard
function now() end

---@class rowtide.DdlTable
---@field schema string
---@field table string

---@class rowtide.DdlClause
---@field action "add"|"drop"|"change"|"rename_table"|"rows"|"other"|"unknown"
---@field name? string
---@field new_name? string
---@field type? string  as MySQL writes it: "varchar(20)"

---@class rowtide.DdlEvent
---@field kind "create_table"|"alter_table"|"drop_table"|"rename_table"|"truncate"|"create_index"|"drop_index"|"drop_database"|"other"
---@field schema string
---@field table? string
---@field tables rowtide.DdlTable[]
---@field columns rowtide.DdlClause[]
---@field sql string
---@field lsn integer

--- Defined by the script: called for each DDL statement.
---@param e rowtide.DdlEvent
---@return rowtide.DdlEvent|rowtide.Drop|rowtide.Pause|string|nil
function ddl(e) end

--- An exact decimal number.
---@class rowtide.Decimal
---@operator add(rowtide.Decimal|integer): rowtide.Decimal
---@operator sub(rowtide.Decimal|integer): rowtide.Decimal
---@operator mul(rowtide.Decimal|integer): rowtide.Decimal
---@operator unm: rowtide.Decimal
local Decimal = {}
---@param digits? integer  behind the point; 0 if left out
---@return rowtide.Decimal
function Decimal:round(digits) end
---@return number
function Decimal:tonumber() end
---@return integer?
function Decimal:tointeger() end
---@return integer
function Decimal:scale() end
---@return rowtide.Decimal
function Decimal:abs() end
---@param other rowtide.Decimal|integer
---@return boolean
function Decimal:eq(other) end

---@param value string|integer|rowtide.Decimal
---@return rowtide.Decimal
function decimal(value) end

--- What date, datetime, instant and duration have in common.
---@class rowtide.Temporal
---@field kind "date"|"datetime"|"instant"|"duration"
---@field is_zero boolean  a zero or partial date
local Temporal = {}
---@return rowtide.Date
function Temporal:to_date() end
---@return rowtide.Datetime
function Temporal:to_datetime() end
---@return rowtide.Instant
function Temporal:to_instant() end
---@return rowtide.Duration
function Temporal:to_duration() end

---@class rowtide.Date: rowtide.Temporal
---@field year integer
---@field month integer
---@field day integer
---@operator add(rowtide.Duration): rowtide.Date
---@operator sub(rowtide.Duration): rowtide.Date
---@operator sub(rowtide.Date): rowtide.Duration
local Date = {}
---@param days integer
---@return rowtide.Date
function Date:add_days(days) end

---@class rowtide.Datetime: rowtide.Temporal
---@field year integer
---@field month integer
---@field day integer
---@field hour integer
---@field min integer
---@field sec integer
---@field usec integer
---@operator add(rowtide.Duration): rowtide.Datetime
---@operator sub(rowtide.Duration): rowtide.Datetime
---@operator sub(rowtide.Datetime): rowtide.Duration
local Datetime = {}
---@param days integer
---@return rowtide.Datetime
function Datetime:add_days(days) end

---@class rowtide.Instant: rowtide.Temporal
---@field year integer
---@field month integer
---@field day integer
---@field hour integer
---@field min integer
---@field sec integer
---@field usec integer
---@field epoch integer
---@field epoch_us integer
---@operator add(rowtide.Duration): rowtide.Instant
---@operator sub(rowtide.Duration): rowtide.Instant
---@operator sub(rowtide.Instant): rowtide.Duration
local Instant = {}
---@param days integer
---@return rowtide.Instant
function Instant:add_days(days) end

---@class rowtide.Duration: rowtide.Temporal
---@field hours integer
---@field min integer
---@field sec integer
---@field usec integer
---@field us integer
---@operator add(rowtide.Duration): rowtide.Duration
---@operator sub(rowtide.Duration): rowtide.Duration
---@operator mul(integer): rowtide.Duration
---@operator unm: rowtide.Duration
local Duration = {}

---@param text string|rowtide.Date  "2024-02-29"
---@return rowtide.Date
function date(text) end
---@param text string|rowtide.Datetime  "2024-02-29 10:11:12.5"
---@return rowtide.Datetime
function datetime(text) end
---@param value string|integer|rowtide.Instant  "2024-02-29T10:11:12Z", or seconds since 1970
---@return rowtide.Instant
function instant(value) end
---@param value string|integer|rowtide.Duration  "-1:30:00", or seconds
---@return rowtide.Duration
function duration(value) end

json = {}
--- JSON's null in decoded values.
json.null = {}
---@param text string
---@return any
function json.decode(text) end
---@param value any
---@return string
function json.encode(value) end
---@generic T: table
---@param t? T
---@return T
function json.array(t) end
---@param t any
---@return boolean
function json.is_array(t) end
