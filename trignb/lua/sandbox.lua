-- Builds the worlds that scripts and functions see. Called once per Lua state with the host's functions;
-- returns what the host needs to compile, run and load.
local host = ...

local debug_getinfo, debug_sethook = debug.getinfo, debug.sethook
local as_function = python.as_function
local real_G = _G
local real_pcall, real_xpcall, real_error, real_type = pcall, xpcall, error, type
local real_tostring, real_rawset, real_rawget = tostring, rawset, rawget
local real_getmetatable, real_setmetatable = getmetatable, setmetatable
local real_next, real_select, real_unpack, real_pairs = next, select, unpack, pairs
local real_loadstring, real_setfenv, real_getfenv, real_load = loadstring, setfenv, getfenv, load
local real_insert, real_newproxy, real_tonumber = table.insert, newproxy, tonumber
local real_resume, real_create = coroutine.resume, coroutine.create
local concat, byte, gsub, sub, floor = table.concat, string.byte, string.gsub, string.sub, math.floor

-- Errors of functions that Redis has in C ------------------------------------------------

-- Functions of ours that stand for C functions: code of the sandbox that scripts may call.
local ours = real_setmetatable({}, { __mode = "k" })

-- Raise an error as a C function does: with the place of its caller, and the name it was called by.
-- To be called by the function that a script has called, and not in tail position.
local function fail(text)
  local name = debug_getinfo(2, "n").name or "?"
  real_error(gsub(text, "'%?'", function() return "'" .. name .. "'" end), 3)
end

-- Call the C function, which is known to refuse these arguments, for its error.
local function refuse(f, ...)
  local _, text = real_pcall(f, ...)
  local name = debug_getinfo(2, "n").name or "?"
  real_error(gsub(text, "'%?'", function() return "'" .. name .. "'" end), 3)
end

local function pack(...) return { n = real_select("#", ...), ... } end

-- Read-only tables ------------------------------------------------------------------
-- Lua 5.1 has none. A table that scripts may not change is an empty proxy; reading goes
-- through __index, and the functions that would see the proxy's emptiness are replaced.

local READONLY = "Attempt to modify a readonly table"
local originals = real_setmetatable({}, { __mode = "k" })
-- What getmetatable tells of a proxy: nil, but for the globals.
local shown_metatables = real_setmetatable({}, { __mode = "k" })

local function freeze(original, index)
  local proxy = {}
  originals[proxy] = original
  return real_setmetatable(proxy, {
    __index = index or original,
    __newindex = function() real_error(READONLY, 2) end,
  })
end

-- The place of an error ---------------------------------------------------------------

-- Functions of the host's that begin a run: what is behind them is no business of a script.
local entries = {}

-- Where a script's error was raised: the function at work, or its caller when that is one of C's. Nil when it
-- was one of C's that the host called.
local function position()
  local level, seen_c = 2, false
  while true do
    local info = debug_getinfo(level, "Slf")
    if not info or entries[info.func] then return nil end
    if info.what == "C" then
      local behind = debug_getinfo(level + 1, "f")
      if behind and entries[behind.func] then return nil end
    end
    if info.source ~= "=sandbox" and info.source ~= "=(tail call)" then
      if info.what ~= "C" or seen_c then return info end
      seen_c = true
    end
    level = level + 1
  end
end

local function error_handler(err)
  local info = position()
  local kind = real_type(err)
  if kind == "userdata" and host.is_fatal(err) then
    -- An interrupt, a kill. It is kept as it is.
    return { host = err }
  end
  if kind ~= "table" then
    err = { err = "ERR " .. real_tostring(err) }
  elseif originals[err] then
    return { err = "ERR err_handler_def:10: " .. READONLY, source = "@err_handler_def", line = 10 }
  end
  if info then
    real_rawset(err, "source", info.source)
    real_rawset(err, "line", info.currentline)
  end
  return err
end

-- Base library ----------------------------------------------------------------------

local base = {
  assert = assert,
  collectgarbage = collectgarbage,
  error = error,
  gcinfo = gcinfo,
  ipairs = ipairs,
  rawequal = rawequal,
  tonumber = tonumber,
  tostring = tostring,
  type = type,
  select = select,
  unpack = unpack,
  _VERSION = _VERSION,
}

function base.next(...)
  local t, k = ...
  if real_type(t) ~= "table" then refuse(real_next, ...) end
  return real_next(originals[t] or t, k)
end
-- What pairs gives loops is the quick one.
local function next_of(t, k) return real_next(originals[t] or t, k) end

function base.pairs(...)
  local t = ...
  if real_type(t) ~= "table" then refuse(real_pairs, ...) end
  if originals[t] then return next_of, t, nil end
  return real_next, t, nil
end

function base.rawget(...)
  local t, k = ...
  if real_type(t) ~= "table" or real_select("#", ...) < 2 then refuse(real_rawget, ...) end
  return real_rawget(originals[t] or t, k)
end

-- Metatables of newproxy: a finalizer would run at any moment, also in the host's own work.
local finalizable = real_setmetatable({}, { __mode = "k" })

function base.rawset(...)
  local t, k, v = ...
  if real_type(t) ~= "table" or real_select("#", ...) < 3 then refuse(real_rawset, ...) end
  if originals[t] then real_error(READONLY, 0) end
  if finalizable[t] and k == "__gc" then return t end
  local ok, text = real_pcall(real_rawset, t, k, v)
  if not ok then real_error(text, 0) end
  return t
end

local NULL = real_newproxy(true)
real_getmetatable(NULL).__tostring = function() return "userdata: (nil)" end

function base.newproxy(...)
  if (...) == NULL then fail("bad argument #1 to '?' (boolean or proxy expected)") end
  local ok, proxy = real_pcall(real_newproxy, ...)
  if not ok then fail(proxy) end
  local meta = real_getmetatable(proxy)
  if meta and not finalizable[meta] then
    finalizable[meta] = true
    real_setmetatable(meta, {
      __newindex = function(t, k, v) if k ~= "__gc" then real_rawset(t, k, v) end end,
      __metatable = false,
    })
  end
  return proxy
end

local stringlib = {}

function base.getmetatable(...)
  local t = ...
  if real_select("#", ...) == 0 then refuse(real_getmetatable) end
  if t == NULL then return nil end
  local kind = real_type(t)
  if kind == "table" and originals[t] then return shown_metatables[t] end
  -- Strings share one, which the sandbox itself relies on: scripts get a copy.
  if kind == "string" then return { __index = base.string } end
  local meta = real_getmetatable(t)
  return meta
end

function base.setmetatable(...)
  local t, m = ...
  local fits = real_select("#", ...) > 1 and m == nil or real_type(m) == "table"
  if real_type(t) == "table" and originals[t] and fits then
    real_error(READONLY, 0)
  end
  local ok, text = real_pcall(real_setmetatable, ...)
  if not ok then fail(text) end
  return t
end

-- A killed script must not catch its own death. Of an error's table pcall hands on the text.
local function is_fatal(err)
  return real_type(err) == "userdata" and err ~= NULL and host.is_fatal(err)
end
local function pass_on(ok, ...)
  if ok then return ok, ... end
  local err = ...
  if real_type(err) == "table" then
    local text = err.err
    if text ~= nil then return false, text end
    return false, err, nil
  end
  if is_fatal(err) then real_error(err, 0) end
  return false, ...
end
function base.pcall(...)
  if real_select("#", ...) == 0 then return false, "attempt to call a boolean value" end
  return pass_on(real_pcall(...))
end

local function reraise(ok, ...)
  if not ok and is_fatal((...)) then real_error((...), 0) end
  return ok, ...
end
function base.xpcall(...)
  if real_select("#", ...) < 2 then refuse(real_xpcall, ...) end
  local f, handler = ...
  return reraise(real_xpcall(f, function(err)
    if is_fatal(err) then return err end
    return handler(err)
  end))
end

-- Texts only: precompiled chunks could break out of the virtual machine.
local function is_binary(chunk) return byte(chunk, 1) == 27 end

-- The libraries ------------------------------------------------------------------------

local function copy(from, into)
  into = into or {}
  for k, v in real_next, from do into[k] = v end
  return into
end

local mathlib = copy(math)
mathlib.mod = math.fmod
mathlib.random, mathlib.randomseed = host.random(fail)

copy(string, stringlib)
local tablelib = copy(table)
function tablelib.insert(...)
  local t = ...
  local ok, text
  if originals[t] then
    ok, text = real_pcall(real_insert, {}, real_select(2, ...))
    if ok then real_error(READONLY, 0) end
  else
    ok, text = real_pcall(real_insert, ...)
  end
  if not ok then fail(text) end
end
for _, name in real_next, { "foreach", "foreachi" } do
  local f = table[name]
  tablelib[name] = function(...)
    local t, g = ...
    if real_type(t) ~= "table" or real_type(g) ~= "function" then refuse(f, ...) end
    return f(originals[t] or t, g)
  end
end

-- A coroutine has a hook of its own, which it needs to be stopped.
local watched, every
local coroutinelib = copy(coroutine)
function coroutinelib.create(...)
  local ok, co = real_pcall(real_create, ...)
  if not ok then fail(co) end
  debug_sethook(co, watched, "", every)
  return co
end
function coroutinelib.resume(...)
  if real_type((...)) ~= "thread" then refuse(real_resume, ...) end
  return reraise(real_resume(...))
end
function coroutinelib.wrap(...)
  local ok, co = real_pcall(real_create, ...)
  if not ok then fail(co) end
  debug_sethook(co, watched, "", every)
  local function resume(...)
    local answer = pack(real_resume(co, ...))
    if answer[1] then return real_unpack(answer, 2, answer.n) end
    local err = answer[2]
    -- As the original: the place of the caller in front of a text.
    real_error(err, real_type(err) == "string" and 2 or 0)
  end
  ours[resume] = true
  return resume
end

real_getmetatable("").__index = stringlib

-- redis and the libraries of the host ---------------------------------------------------

-- These give no value, not even nil.
local SILENT = { set_repl = true, debug = true, log = true, setresp = true }

-- Host functions answer with their value, or with nil and the text of an error.
local function raising(f, name)
  local g = as_function(f)
  if SILENT[name] then
    return function(...)
      local _, text = g(...)
      if text then real_error({ err = text }, 0) end
    end
  end
  return function(...)
    local value, text = g(...)
    if text then real_error({ err = text }, 0) end
    return value
  end
end

-- From so many arguments on they are handed over in a table: one by one each costs more than the last.
local MANY = 48

local function caller(name)
  local few, many = as_function(host[name]), as_function(host[name .. "_many"])
  return function(...)
    local n = real_select("#", ...)
    local value, text, counted
    if n < MANY then value, text, counted = few(...) else value, text, counted = many(n, { ... }) end
    if text then real_error({ err = text, ignore_error_stats_update = counted or nil }, 0) end
    return value
  end
end

local common = copy(host.redis_constants)
for name, f in real_next, host.redis_functions do common[name] = raising(f, name) end
common.call, common.pcall = caller("call"), caller("pcall")
local redislib = copy(common)
for name, f in real_next, host.script_functions do redislib[name] = raising(f, name) end

-- Libraries of the host answer (failed, value…); their errors are a C function's.
local function host_library(description)
  local lib = copy(description.constants)
  for name, f in real_next, description.functions do
    local g = as_function(f)
    lib[name] = function(...)
      local failed, value = g(...)
      if failed then fail(value) end
      return value
    end
  end
  for name, f in real_next, description.many or {} do
    local g = as_function(f)
    lib[name] = function(...)
      local answer = { g(...) }
      if answer[1] then
        -- An error of the virtual machine's has no place.
        if sub(answer[2], 1, 11) == "table index" then real_error(answer[2], 0) end
        fail(answer[2])
      end
      return real_unpack(answer, 2, host.count())
    end
  end
  return lib
end

local json = host.json(NULL)
local cjson_library
function cjson_library(description)
  local lib = host_library(description)
  local settings = as_function(description.settings.encoding)
  function lib.encode(...)
    if real_select("#", ...) ~= 1 then fail("bad argument #1 to '?' (expected 1 argument)") end
    local value = ...
    local text, wrong = json(originals[value] or value, settings())
    if wrong then fail(wrong) end
    return text
  end
  -- Once more, with settings of its own.
  function lib.new() return cjson_library(host.new_cjson()) end
  lib.null = NULL
  return lib
end
local cjsonlib = cjson_library(host.cjson)
local libraries = {
  math = mathlib,
  string = stringlib,
  table = tablelib,
  coroutine = coroutinelib,
  bit = host_library(host.bit),
  cjson = cjsonlib,
  cmsgpack = host_library(host.cmsgpack),
  struct = host_library(host.struct),
}
local frozen = {}
for name, lib in real_next, libraries do frozen[name] = freeze(lib) end
base.string = frozen.string

-- Worlds ----------------------------------------------------------------------------------

local function nonexistent(name)
  local kind = real_type(name)
  if kind ~= "string" and kind ~= "number" then
    real_error("Second argument to luaProtectedTableError must be a string or number", 3)
  end
  real_error("Script attempted to access nonexistent global variable '" .. name .. "'", 3)
end

-- The function at a level as scripts count them, whose caller is level 1. Called by a function of theirs.
local function function_at(level)
  local at = 3
  while true do
    local info = debug_getinfo(at, "Sf")
    if not info or entries[info.func] then return nil end
    local behind = debug_getinfo(at + 1, "f")
    if info.what == "C" and behind and entries[behind.func] then return nil end
    if info.source ~= "=sandbox" then
      level = level - 1
      if level == 0 then return info.func end
    end
    at = at + 1
  end
end

local function make_world(redis_table)
  local world = copy(base)
  copy(frozen, world)
  world.redis = freeze(redis_table)
  local index = function(_, name)
    local value = world[name]
    if value == nil then nonexistent(name) end
    return value
  end
  local proxy = freeze(world, index)
  world._G = proxy
  shown_metatables[proxy] = freeze({ __index = index })

  local function shown(env) return env == real_G and proxy or env end
  world.getfenv = function(...)
    local f = ...
    if f == nil then f = 1 end
    if real_type(f) == "number" and f >= 0 then
      if f < 1 then return proxy end
      f = function_at(floor(f))
      if not f then fail("bad argument #1 to '?' (invalid level)") end
    elseif real_type(f) ~= "function" then
      refuse(real_getfenv, ...)
    end
    return shown(real_getfenv(f))
  end
  world.setfenv = function(...)
    local f, env = ...
    if real_type(env) == "table" then
      if ours[f] then fail("'setfenv' cannot change environment of given object") end
      if real_type(f) == "number" and f >= 0 then
        -- The environment of the thread, which nothing of the scripts' looks at.
        if f < 1 then return end
        f = function_at(floor(f))
        if not f then fail("bad argument #1 to '?' (invalid level)") end
      end
    end
    local ok, text = real_pcall(real_setfenv, f, real_select(2, ...))
    if not ok then fail(text) end
    return f
  end
  world.loadstring = function(...)
    local chunk, name = ...
    if real_type(chunk) == "string" and is_binary(chunk) then
      return nil, "[string \"\27LuaQ\"]:1: unexpected symbol near 'char(27)'"
    end
    local ok, f, err = real_pcall(real_loadstring, ...)
    if not ok then fail(f) end
    if not f then return nil, err end
    real_setfenv(f, proxy)
    return f
  end
  world.load = function(...)
    local reader, name = ...
    if real_type(reader) ~= "function" then refuse(real_load, ...) end
    local begun = false
    local function part()
      local text = reader()
      if not begun and real_type(text) == "string" and text ~= "" then
        begun = true
        if is_binary(text) then real_error("binary chunk", 0) end
      end
      return text
    end
    local ok, f, err = real_pcall(real_load, part, real_select(2, ...))
    if not ok then fail(f) end
    if not f then return nil, err end
    real_setfenv(f, proxy)
    return f
  end
  for _, value in real_next, world do
    if real_type(value) == "function" then ours[value] = true end
  end
  return proxy, world
end

for _, lib in real_next, libraries do
  for _, value in real_next, lib do
    if real_type(value) == "function" then ours[value] = true end
  end
end
for _, value in real_next, redislib do
  if real_type(value) == "function" then ours[value] = true end
end

local script_world, script_globals = make_world(redislib)
script_globals.__redis__err__handler = error_handler
local _, function_globals = make_world(common)

-- What a library sees at its top level while it loads, and from then on.
local loading
local function_world = freeze(function_globals, function(_, name)
  local value
  if loading then value = loading[name] else value = function_globals[name] end
  if value == nil then nonexistent(name) end
  return value
end)
function_globals._G = function_world
shown_metatables[function_world] = freeze({ __index = real_getmetatable(function_world).__index })

-- For the host ------------------------------------------------------------------------------

local api = { null = NULL, is_proxy = function(t) return originals[t] ~= nil end }

function api.compile(source, chunk_name)
  if is_binary(source) then
    return nil, gsub(chunk_name, "^@", "") .. ":1: unexpected symbol near 'char(27)'"
  end
  local f, err = real_loadstring(source, chunk_name)
  if not f then return nil, err end
  local patched = host.keep_frames(string.dump(f))
  if patched then f = real_loadstring(patched, chunk_name) end
  real_setfenv(f, script_world)
  return f
end

-- The hook is set and taken off here, not by the host: each crossing costs half a microsecond.
function api.prepare_hook(hook, kill, n)
  every = n
  watched = function()
    if not hook() then return end
    -- From now on every line ends in an error, whoever catches one, here and in the coroutine above.
    debug_sethook(function() kill() end, "lcr", 1)
    local info = position()
    if info then kill(info.source, info.currentline) else kill() end
  end
end

local flatten, tree = host.flatten(host.marks, NULL)
function api.tree(value, ...) return tree(originals[value] or value, ...) end

-- A failed run: the host's exception, the text, its place, whether it is counted.
local function failed(err)
  if real_type(err) ~= "table" then return false, nil, "ERR " .. real_tostring(err) end
  local text = real_rawget(err, "err")
  if text == nil and real_getmetatable(err) then
    local _, value = real_pcall(function() return err.err end)
    text = value
  end
  if real_type(text) == "number" then text = real_tostring(text) end
  if real_type(text) ~= "string" then text = "ERR unknown error" end
  local counted = real_rawget(err, "ignore_error_stats_update") == true
  return false, real_rawget(err, "host"), text, real_rawget(err, "source"), real_rawget(err, "line"), counted
end

function api.run(f, keys, argv)
  script_globals.KEYS, script_globals.ARGV = keys, argv
  debug_sethook(watched, "", every)
  local ok, value = real_xpcall(f, error_handler)
  debug_sethook()
  if not ok then return failed(value) end
  if real_type(value) ~= "table" then return ok, value end
  return flatten(value)
end

function api.call(f, keys, argv)
  debug_sethook(watched, "", every)
  local ok, value = real_xpcall(function()
    local reply = f(keys, argv)
    return reply
  end, error_handler)
  debug_sethook()
  if not ok then return failed(value) end
  if real_type(value) ~= "table" then return ok, value end
  return flatten(value)
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

function api.load_library(f, functions, constants)
  local members = copy(constants)
  for name, g in real_next, functions do members[name] = raising(g, name) end
  local index = function(_, name)
    local value = members[name]
    if value == nil then nonexistent(name) end
    return value
  end
  loading = { redis = freeze(members, index) }
  real_setfenv(f, function_world)
  debug_sethook(watched, "", every)
  local ok, err = real_xpcall(f, error_handler)
  debug_sethook()
  loading = nil
  if not ok then return failed(err) end
  return ok
end
for _, f in real_next, { api.run, api.call, api.load_library } do entries[f] = true end

function api.loaded() debug_sethook() loading = nil end

function api.unwatch() debug_sethook() end
function api.bytes() return collectgarbage("count") * 1024 end
function api.slice(t, i, j) return real_unpack(t, i, j) end

return api
