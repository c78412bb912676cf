-- Tables taken apart into one list of values, so that the host reads them in a few crossings and no metatable
-- has a say. Called with the host's marks; returns `reply` for what a script returned and `tree` for libraries.
local marks, NULL = ...
local rawget, type, next, select, unpack = rawget, type, next, select, unpack

-- Redis's own stack holds that much: an array takes one more place than what it is in, a map three, its keys four.
local DEEPEST = 7994
-- More than any reply: tables that hold themselves several times grow without end.
local MOST = 20000000
-- So many values are handed over at once.
local AT_ONCE = 2000

local out, n

local function put(value)
  n = n + 1
  out[n] = value
end

local add

local function add_pairs(mark, t, depth, with_values)
  local count = 0
  for _ in next, t do count = count + 1 end
  put(mark)
  put(count)
  for key, value in next, t do
    if with_values then
      add(key, depth + 4)
      add(value, depth + 3)
    else
      add(key, depth + 3)
    end
  end
end

-- A table of another kind than an array; says whether it was one.
local function add_special(t, depth)
  local value = rawget(t, "err")
  if type(value) == "string" then
    put(marks.error)
    put(value)
    put(rawget(t, "ignore_error_stats_update") == true)
    return true
  end
  value = rawget(t, "ok")
  if type(value) == "string" then
    put(marks.status)
    put(value)
    return true
  end
  value = rawget(t, "double")
  if type(value) == "number" then
    put(marks.double)
    put(value)
    return true
  end
  value = rawget(t, "big_number")
  if type(value) == "string" then
    put(marks.big_number)
    put(value)
    return true
  end
  value = rawget(t, "verbatim_string")
  if type(value) == "table" then
    local text, format = rawget(value, "string"), rawget(value, "format")
    if type(text) == "string" and type(format) == "string" then
      put(marks.verbatim)
      put(text)
      put(format)
      return true
    end
  end
  value = rawget(t, "map")
  if type(value) == "table" then
    add_pairs(marks.map, value, depth, true)
    return true
  end
  value = rawget(t, "set")
  if type(value) == "table" then
    add_pairs(marks.set, value, depth, false)
    return true
  end
  return false
end

add = function(value, depth)
  if depth > DEEPEST or n > MOST then
    put(marks.too_deep)
    return
  end
  local kind = type(value)
  if kind ~= "table" then
    if kind == "string" or kind == "number" or kind == "boolean" then put(value) else put(marks.null) end
    return
  end
  if next(value) ~= nil and add_special(value, depth) then return end
  local length = 0
  while rawget(value, length + 1) ~= nil do length = length + 1 end
  put(marks.array)
  put(length)
  for i = 1, length do add(rawget(value, i), depth + 1) end
end

local function reply(value)
  out, n = {}, 0
  add(value, 0)
  local taken = out
  out = nil
  if n <= AT_ONCE then return marks.flat, unpack(taken, 1, n) end
  return marks.long, taken, n
end

-- Any value as a list: a table is a mark, the number of its pairs, and they. A table that lies deeper than
-- `deepest` is the mark `too_deep`, behind which nothing follows if it is to `stop`.
local function walk(value, depth, deepest, stop)
  local kind = type(value)
  if kind == "table" then
    if depth >= deepest or n > MOST then
      put(marks.too_deep)
      return stop
    end
    put(marks.map)
    put(0)
    local at, count = n, 0
    for key, item in next, value do
      count = count + 1
      if walk(key, depth + 1, deepest, stop) or walk(item, depth + 1, deepest, stop) then return true end
    end
    out[at] = count
  elseif kind == "string" or kind == "number" or kind == "boolean" then
    put(value)
  elseif value == nil or value == NULL then
    put(marks.null)
  else
    put(marks[kind])
  end
end

local function tree(value, deepest, stop)
  out, n = {}, 0
  walk(value, 0, deepest, stop)
  local taken = out
  out = nil
  return taken, n
end

return reply, tree
