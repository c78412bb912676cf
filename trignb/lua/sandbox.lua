-- Builds the world a script sees. Called once per Lua state with the host's functions; returns what the host
-- needs: `make(env)`, `compile`, `run` and the tables of the two kinds of callers.
local host = ...

local debug_getinfo, debug_sethook = debug.getinfo, debug.sethook
-- A real C function: a tail call of it leaves the caller's frame, and with it the line, in place.
local as_function = python.as_function
local real_pcall, real_xpcall, real_error, real_type = pcall, xpcall, error, type
local real_tostring, real_rawset, real_setmetatable = tostring, rawset, setmetatable
local real_getmetatable, real_next, real_select, real_unpack = getmetatable, next, select, unpack
local real_loadstring, real_setfenv, real_load = loadstring, setfenv, load

-- Read-only tables ------------------------------------------------------------------
-- Lua 5.1 has none. A table that scripts may not change is an empty proxy; reading goes
-- through __index, and the functions that would see the proxy's emptiness are replaced.

local originals = real_setmetatable({}, { __mode = "k" })

local function refuse()
  real_error("Attempt to modify a readonly table", 2)
end

local function freeze(original, index)
  local proxy = {}
  originals[proxy] = original
  return real_setmetatable(proxy, {
    __index = index or original,
    __newindex = refuse,
    __metatable = false,
  })
end

local function thaw(t)
  return originals[t] or t
end

-- The innermost line of the user's own code, for the tail of an error message.
local function position()
  local level = 2
  while true do
    local info = debug_getinfo(level, "Sl")
    if not info then return nil end
    if info.source:sub(1, 6) == "@user_" then return info end
    level = level + 1
  end
end

local function error_handler(err)
  if real_type(err) == "userdata" then
    local text, source, line, counted = host.error_parts(err)
    -- Not ours: an interrupt, a kill. It is kept as it is.
    if not text then return { host = err } end
    return {
      err = text, source = source, line = line,
      ignore_error_stats_update = counted or nil,
    }
  end
  local info = position()
  if real_type(err) ~= "table" then
    err = { err = "ERR " .. real_tostring(err) }
  elseif originals[err] then
    err = {}
  end
  if info and not err.source then
    err.source, err.line = info.source, info.currentline
  end
  return err
end

-- Base library ----------------------------------------------------------------------

local base = {
  assert = assert,
  collectgarbage = collectgarbage,
  error = error,
  gcinfo = gcinfo,
  rawequal = rawequal,
  tonumber = tonumber,
  tostring = tostring,
  type = type,
  select = select,
  _VERSION = _VERSION,
}

function base.next(t, k) return real_next(thaw(t), k) end
function base.pairs(t)
  if real_type(t) == "table" then return real_next, thaw(t), nil end
  return pairs(t)
end
function base.ipairs(t) return ipairs(t) end
function base.rawget(t, k) return rawget(thaw(t), k) end
function base.rawset(t, k, v)
  if originals[t] then real_error("Attempt to modify a readonly table", 2) end
  return real_rawset(t, k, v)
end
function base.unpack(t, i, j) return real_unpack(thaw(t), i, j) end
function base.getmetatable(t)
  if real_type(t) == "table" and originals[t] then return nil end
  if real_type(t) == "string" then return nil end
  return real_getmetatable(t)
end
function base.setmetatable(t, m)
  if real_type(t) == "table" and originals[t] then
    real_error("Attempt to modify a readonly table", 0)
  end
  return real_setmetatable(t, m)
end

-- A killed script must not catch its own death; of other errors of the host it sees the text.
local function pass_on(ok, ...)
  if not ok and real_type((...)) == "userdata" then
    local text = host.error_parts((...))
    if not text then real_error((...), 0) end
    return false, text
  end
  if not ok and real_type((...)) == "table" and (...).err then
    return false, (...).err
  end
  return ok, ...
end
function base.pcall(f, ...) return pass_on(real_pcall(f, ...)) end
function base.xpcall(f, handler)
  return pass_on(real_xpcall(f, function(err)
    if real_type(err) == "userdata" then
      local text = host.error_parts(err)
      if not text then return err end
      err = text
    end
    return handler(err)
  end))
end

-- Texts only: precompiled chunks could break out of the virtual machine.
local function text_only(chunk)
  return real_type(chunk) == "string" and chunk:byte(1) ~= 27
end

-- Pseudo-random numbers: one sequence for all scripts, that of lrand48 -----------------------------

local seed_low, seed_mid, seed_high = 0x330E, 0xABCD, 0x1234
local function reseed(n)
  n = n % 4294967296
  seed_low, seed_mid, seed_high = 0x330E, n % 65536, math.floor(n / 65536)
end
local function lrand48()
  -- x = (x * 0x5DEECE66D + 0xB) mod 2^48, in 16-bit limbs
  local p = 0xE66D * seed_low + 0xB
  local low = p % 65536
  p = math.floor(p / 65536) + 0xE66D * seed_mid + 0xDEEC * seed_low
  local mid = p % 65536
  p = math.floor(p / 65536) + 0xE66D * seed_high + 0xDEEC * seed_mid + 5 * seed_low
  seed_low, seed_mid, seed_high = low, mid, p % 65536
  return seed_high * 32768 + math.floor(seed_mid / 2)
end
local RAND_MAX = 2147483647
local mathlib = {}
for k, v in real_next, math do mathlib[k] = v end
mathlib.mod = math.fmod
function mathlib.random(low, high)
  local r = (lrand48() % RAND_MAX) / RAND_MAX
  if not low then return r end
  if not high then
    if low < 1 then real_error("bad argument #1 to 'random' (interval is empty)", 2) end
    return math.floor(r * math.floor(low)) + 1
  end
  low, high = math.floor(low), math.floor(high)
  if low > high then real_error("bad argument #2 to 'random' (interval is empty)", 2) end
  return math.floor(r * (high - low + 1)) + low
end
function mathlib.randomseed(n) reseed(n) end

local stringlib = {}
for k, v in real_next, string do stringlib[k] = v end
local tablelib = {}
for k, v in real_next, table do tablelib[k] = v end
function tablelib.concat(t, ...) return table.concat(thaw(t), ...) end
local coroutinelib = {}
for k, v in real_next, coroutine do coroutinelib[k] = v end
function coroutinelib.resume(...) return pass_on(coroutine.resume(...)) end

-- string methods of string values go through the shared metatable, frozen likewise
real_getmetatable("").__index = stringlib
real_getmetatable("").__metatable = false

-- redis ---------------------------------------------------------------------------------

local redislib = {}
for name, f in real_next, host.redis_functions do redislib[name] = as_function(f) end
for name, v in real_next, host.redis_constants do redislib[name] = v end

-- libraries written in the host
local function host_library(description)
  local lib = {}
  for name, f in real_next, description.functions do lib[name] = as_function(f) end
  for name, v in real_next, description.constants do lib[name] = v end
  return lib
end

local bitlib, cjsonlib = host_library(host.bit), host_library(host.cjson)
local cmsgpacklib, structlib = host_library(host.cmsgpack), host_library(host.struct)

-- Worlds: one for scripts, one for each loading of a function library ---------------------

local function make_world(redis_table, extra)
  local world = {}
  for k, v in real_next, base do world[k] = v end
  world.math = freeze(mathlib)
  world.string = freeze(stringlib)
  world.table = freeze(tablelib)
  world.coroutine = freeze(coroutinelib)
  world.os = freeze({ clock = os.clock })
  world.bit = freeze(bitlib)
  world.cjson = freeze(cjsonlib)
  world.cmsgpack = freeze(cmsgpacklib)
  world.struct = freeze(structlib)
  world.redis = freeze(redis_table)
  for k, v in real_next, extra or {} do world[k] = v end
  local proxy
  proxy = freeze(world, function(_, name)
    local value = world[name]
    if value == nil then
      real_error("Script attempted to access nonexistent global variable '"
        .. real_tostring(name) .. "'", 2)
    end
    return value
  end)
  world._G = proxy
  world.loadstring = function(chunk, name)
    if not text_only(chunk) then return nil, "attempt to load chunk with wrong mode" end
    local f, err = real_loadstring(chunk, name)
    if f then real_setfenv(f, proxy) end
    return f, err
  end
  world.load = function(reader, name)
    local parts = {}
    while true do
      local part = reader()
      if part == nil or part == "" then break end
      parts[#parts + 1] = part
    end
    return world.loadstring(table.concat(parts), name or "=(load)")
  end
  return proxy, world
end

local function host_position()
  local info = position()
  if info then return info.source, info.currentline end
end

local api = { position = host_position, freeze = freeze, redis = redislib }

function api.prepare()
  api.world, api.world_table = make_world(redislib, { KEYS = {}, ARGV = {} })
end

function api.compile(source, chunk_name)
  if not text_only(source) then return nil, "binary chunk" end
  return real_loadstring(source, chunk_name)
end

-- The hook is set and taken off here, not by the host: each crossing costs half a microsecond.
local watched, every
function api.prepare_hook(hook, n) watched, every = function() hook() end, n end

function api.run(f, keys, argv)
  api.world_table.KEYS, api.world_table.ARGV = keys, argv
  real_setfenv(f, api.world)
  debug_sethook(watched, "", every)
  local ok, value = real_xpcall(f, error_handler)
  debug_sethook()
  return ok, value
end

function api.call(f, keys, argv)
  debug_sethook(watched, "", every)
  local ok, value = real_xpcall(function() return f(keys, argv) end, error_handler)
  debug_sethook()
  return ok, value
end

-- The same with keys and arguments one by one, for as many as the stack holds.
local function spread(n, ...)
  local keys, argv = {}, {}
  local count = real_select("#", ...)
  local all = { ... }
  for i = 1, n do keys[i] = all[i] end
  for i = n + 1, count do argv[i - n] = all[i] end
  return keys, argv
end
function api.run_spread(f, n, ...) return api.run(f, spread(n, ...)) end
function api.call_spread(f, n, ...) return api.call(f, spread(n, ...)) end

-- A world for FUNCTION LOAD: only registering is possible while the library loads.
function api.load_library(f, functions, constants)
  local loading = {}
  for name, g in real_next, functions do loading[name] = as_function(g) end
  for name, v in real_next, constants do loading[name] = v end
  local proxy, world = make_world(loading)
  world.redis = freeze(loading, function(_, name)
    local value = loading[name]
    if value == nil then
      real_error("Script attempted to access nonexistent global variable '"
        .. real_tostring(name) .. "'", 2)
    end
    return value
  end)
  world.error = nil
  real_setfenv(f, proxy)
  local ok, err = real_xpcall(f, error_handler)
  -- what the library keeps sees the whole API from now on
  world.error = base.error
  world.redis = freeze(redislib)
  return ok, err
end

function api.kill(hook)
  debug_sethook(function() hook() end, "lcr", 1)
end
function api.unwatch() debug_sethook() end

return api
