-- Pseudo-random numbers: one sequence for all scripts, that of lrand48. Called with the function that raises the
-- errors of C's functions; returns `random` and `randomseed`.
local fail = ...
local type, tonumber, select, floor = type, tonumber, select, math.floor

local seed_low, seed_mid, seed_high = 0x330E, 0xABCD, 0x1234
local function reseed(n)
  n = n % 4294967296
  seed_low, seed_mid, seed_high = 0x330E, n % 65536, floor(n / 65536)
end
reseed(0)
local function lrand48()
  -- x = (x * 0x5DEECE66D + 0xB) mod 2^48, in 16-bit limbs
  local p = 0xE66D * seed_low + 0xB
  local low = p % 65536
  p = floor(p / 65536) + 0xE66D * seed_mid + 0xDEEC * seed_low
  local mid = p % 65536
  p = floor(p / 65536) + 0xE66D * seed_high + 0xDEEC * seed_mid + 5 * seed_low
  seed_low, seed_mid, seed_high = low, mid, p % 65536
  return seed_high * 32768 + floor(seed_mid / 2)
end
local RAND_MAX = 2147483647

local function whole(value, at)
  local number = tonumber(value)
  if (type(value) ~= "number" and type(value) ~= "string") or not number then
    return nil, "bad argument #" .. at .. " to '?' (number expected, got " .. type(value) .. ")"
  end
  -- Cut as C does.
  return number < 0 and -floor(-number) or floor(number)
end
local function random(...)
  local n = select("#", ...)
  local low, high = ...
  local text
  local r = (lrand48() % RAND_MAX) / RAND_MAX
  if n == 0 then return r end
  if n > 2 then fail("wrong number of arguments") end
  low, text = whole(low, 1)
  if not low then fail(text) end
  if n == 1 then
    if low < 1 then fail("bad argument #1 to '?' (interval is empty)") end
    return floor(r * low) + 1
  end
  high, text = whole(high, 2)
  if not high then fail(text) end
  if low > high then fail("bad argument #2 to '?' (interval is empty)") end
  return floor(r * (high - low + 1)) + low
end
local function randomseed(...)
  if select("#", ...) == 0 then
    fail("bad argument #1 to '?' (number expected, got no value)")
  end
  local n, text = whole((...), 1)
  if not n then fail(text) end
  reseed(n)
end

return random, randomseed
