-- Values written as JSON the way lua-cjson writes them. Called with cjson.null; returns the writer.
local NULL = ...
-- The largest index of an array: a C int.
local LARGEST = 2147483647
local type, next, rawget, tostring = type, next, rawget, tostring
local gsub, format, find, floor, concat = string.gsub, string.format, string.find, math.floor, table.concat

local ESCAPES = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["/"] = "\\/", ["\b"] = "\\b", ["\t"] = "\\t",
  ["\n"] = "\\n", ["\f"] = "\\f", ["\r"] = "\\r", ["\127"] = "\\u007f",
}
for code = 0, 31 do
  local letter = string.char(code)
  ESCAPES[letter] = ESCAPES[letter] or format("\\u%04x", code)
end

local function quoted(text)
  if find(text, '[%c"\\/]') then text = gsub(text, '[%z\1-\31"\\/\127]', ESCAPES) end
  return '"' .. text .. '"'
end

-- Each function answers with a text, or nil and what is wrong.
local out, n, settings
local write

local function put(text)
  n = n + 1
  out[n] = text
end

local function number(value)
  if value ~= value or value == 1 / 0 or value == -1 / 0 then
    if settings.invalid == "null" then return "null" end
    if not settings.invalid then return nil, "Cannot serialise number: must not be NaN or Inf" end
    return value ~= value and "nan" or value > 0 and "inf" or "-inf"
  end
  return format(settings.number, value)
end

-- The length of the array that a table is, -1 for an object.
local function array_length(t)
  local count, longest = 0, 0
  for key in next, t do
    if type(key) ~= "number" or key < 1 or floor(key) ~= key or key > LARGEST then return -1 end
    count = count + 1
    if key > longest then longest = key end
  end
  if settings.ratio > 0 and longest > count * settings.ratio and longest > settings.safe then
    if not settings.convert then return nil, "Cannot serialise table: excessively sparse array" end
    return -1
  end
  return longest
end

local function write_object(t, depth)
  put("{")
  local first = true
  for key, value in next, t do
    if not first then put(",") end
    first = false
    local kind, text, wrong = type(key), nil, nil
    if kind == "string" then
      text = quoted(key)
    elseif kind == "number" then
      text, wrong = number(key)
      if not text then return wrong end
      text = '"' .. text .. '"'
    else
      return "Cannot serialise " .. kind .. ": table key must be a number or string"
    end
    put(text)
    put(":")
    wrong = write(value, depth)
    if wrong then return wrong end
  end
  put("}")
end

local function write_table(t, depth)
  depth = depth + 1
  if depth > settings.depth then return "Cannot serialise, excessive nesting (" .. depth .. ")" end
  local length, wrong = array_length(t)
  if not length then return wrong end
  if length < 1 then return write_object(t, depth) end
  put("[")
  for i = 1, length do
    if i > 1 then put(",") end
    wrong = write(rawget(t, i), depth)
    if wrong then return wrong end
  end
  put("]")
end

-- Writes a value; answers with what is wrong.
write = function(value, depth)
  local kind = type(value)
  if kind == "string" then
    put(quoted(value))
  elseif kind == "number" then
    local text, wrong = number(value)
    if not text then return wrong end
    put(text)
  elseif kind == "boolean" then
    put(tostring(value))
  elseif kind == "table" then
    return write_table(value, depth)
  elseif value == nil or value == NULL then
    put("null")
  else
    return "Cannot serialise " .. kind .. ": type not supported"
  end
end

return function(value, convert, ratio, safe, depth, precision, invalid)
  out, n = {}, 0
  settings = {
    convert = convert, ratio = ratio, safe = safe, depth = depth,
    number = "%." .. precision .. "g", invalid = invalid,
  }
  local wrong = write(value, 0)
  local pieces = out
  out = nil
  if wrong then return nil, wrong end
  return concat(pieces)
end
