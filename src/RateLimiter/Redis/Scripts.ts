import { type Script, script } from "../../Redis/Script.js"
import type { AlgorithmName } from "../Algorithm.js"

/*
 * The cores of `SlidingWindow.ts`, `FixedWindow.ts` and `TokenBucket.ts`, in Lua: each decides as its original does, and
 * keeps the same in Redis. All numbers are whole, and below 2^53, where doubles are exact; they are packed in eight bytes
 * each, so that none passes through text. Times are microseconds of Redis.
 *
 * Each is `decide(key, max, interval, asked, take, more, now)`: whether there is room for `asked` units; and if there is,
 * and `take` is not 0, takes those, and of `more` units as many as there are. It answers what remains, when a refused call
 * is admitted (0 where this one is), when the limit is as if never used, and what it took. `asked` is never above `max`.
 */

/**
 * A key goes a second after all in it has lapsed, or later: never before, though the two clocks of Redis round differently.
 *
 * What stands further ahead than a second was written before the clock of Redis was turned back, or by a Redis whose clock
 * was ahead. How long ago that was, nobody knows: it counts as if it had been now. So nobody gets more, and nobody is
 * held up for as long as the clock was ahead. What is ahead by less is left to lapse later.
 */
const common = `
local function expiry(micros)
  return math.ceil(micros / 1000) + 1000
end

local function isAhead(at, now)
  return at - now > 1000000
end
`

/**
 * A list of pairs: time, and the sum of all costs up to and with it. The first pair is no admission: it carries the sum of
 * what has left, and the interval by which the key expires. With its length before it a pair takes 18 bytes, so a key 18
 * for each admission of the last interval: 18 MB for a limit of a million that is used up, and never more than that.
 *
 * The expiry is stated once in each eighth of an interval, for an eighth longer: a key of which much is taken spares the
 * command. Another interval states it anew.
 */
const slidingWindow = `
local pack, unpack = struct.pack, struct.unpack

local function entry(key, index)
  local pair = redis.call('LINDEX', key, index)
  if pair then return unpack('>dd', pair) end
end

-- The first entry after \`low\` for which \`reached\` is true, by leaps and then by halves: near the head it takes a step or
-- two. There is one.
local function first(key, low, reached)
  local high, leap = low + 1, 1
  while true do
    local at, sum = entry(key, high)
    if not at or reached(at, sum) then break end
    low, leap = high, leap * 2
    high = high + leap
  end
  while high - low > 1 do
    local middle = math.floor((low + high) / 2)
    local at, sum = entry(key, middle)
    if not at or reached(at, sum) then high = middle else low = middle end
  end
  return high
end

-- Sums stay below 2^53: what has left is taken out of them.
local function rebase(key, gone)
  local pairs = redis.call('LRANGE', key, 0, -1)
  redis.call('DEL', key)
  for index = 1, #pairs do
    local at, sum = unpack('>dd', pairs[index])
    redis.call('RPUSH', key, pack('>dd', at, sum - gone))
  end
end

local function decide(key, max, interval, asked, take, more, now)
  -- Texts: Redis makes one of each number first, which is slower.
  local head = redis.call('LRANGE', key, '0', '2')
  local before = now - interval
  local gone, sum, newest, expired, term = 0, 0, 0, 0, 0
  local used = false
  if head[2] then
    if #head[1] ~= 16 then error('WRONGTYPE the list is none of a sliding window', 0) end
    newest, sum = unpack('>dd', head[3] and redis.call('LINDEX', key, '-1') or head[2])
    if newest > before then
      used = true
      term, gone = unpack('>dd', head[1])
      local at, upTo = unpack('>dd', head[2])
      if at <= before then
        -- There is a third: the newest is not in the second.
        if unpack('>dd', head[3]) > before then
          expired, gone = 1, upTo
        else
          expired = first(key, 2, function(at) return at > before end) - 1
          local _
          _, gone = entry(key, expired)
        end
      end
      if isAhead(newest, now) then
        redis.call('RPUSH', key, pack('>dd', interval, gone), pack('>dd', now, sum))
        redis.call('LTRIM', key, -2, -1)
        redis.call('PEXPIRE', key, expiry(interval * 1.125))
        newest, expired, term = now, 0, interval
      end
    end
  elseif head[1] then
    error('WRONGTYPE the list is none of a sliding window', 0)
  end
  local free = max
  if used then free = max - (sum - gone) end
  if asked > free then
    local reaching = gone + asked - free
    local last = first(key, expired, function(_, sum) return sum >= reaching end)
    local at = entry(key, last)
    return math.max(0, free), at + interval - now, newest + interval - now
  end
  if take == 0 then
    if used then return free, 0, newest + interval - now end
    return free, 0, 0
  end
  local cost = take + math.min(more, free - take)
  local at = now
  if not used then
    if head[1] then redis.call('DEL', key) end
    redis.call('RPUSH', key, pack('>dd', interval, 0), pack('>dd', at, cost))
  else
    if expired > 0 then redis.call('LTRIM', key, expired, '-1') end
    if sum + cost > 9007199254740991 then
      rebase(key, gone)
      sum, gone, term = sum - gone, 0, 0
    end
    if expired > 0 or term ~= interval then redis.call('LSET', key, '0', pack('>dd', interval, gone)) end
    -- The list stays in order even under a clock that somebody turned back.
    if newest >= now then
      at = newest
      redis.call('LSET', key, '-1', pack('>dd', at, sum + cost))
    else
      redis.call('RPUSH', key, pack('>dd', at, sum + cost))
    end
    local eighth = interval / 8
    if term == interval and math.floor(newest / eighth) == math.floor(at / eighth) then
      return free - cost, 0, at + interval - now, cost
    end
  end
  redis.call('PEXPIRE', key, expiry(at + interval * 1.125 - now))
  return free - cost, 0, at + interval - now, cost
end
`

/** When the window opened, and what was used of it: 16 bytes a key. */
const fixedWindow = `
local pack, unpack = struct.pack, struct.unpack

local function decide(key, max, interval, asked, take, more, now)
  local state = redis.call('GET', key)
  local start, used, left, free = 0, 0, 0, max
  if state then
    if #state ~= 16 then error('WRONGTYPE the string is none of a fixed window', 0) end
    start, used = unpack('>dd', state)
    if isAhead(start, now) then
      start = now
      redis.call('SET', key, pack('>dd', start, used), 'PX', expiry(interval))
    end
    left = math.max(0, start + interval - now)
    if left > 0 then free = max - used end
  end
  if asked > free then return math.max(0, free), left, left end
  if take == 0 then return free, 0, left end
  local cost = take + math.min(more, free - take)
  if left == 0 then start, used, left = now, 0, interval end
  redis.call('SET', key, pack('>dd', start, used + cost), 'PX', expiry(left))
  return free - cost, 0, left, cost
end
`

/**
 * When it was last taken from, when the bucket is full again (whole microseconds, and a part in \`1 / max\` of one), and
 * the rate in which that is counted: 40 bytes a key.
 */
const tokenBucket = `
local pack, unpack, fmod = struct.pack, struct.unpack, math.fmod

-- \`a * b + c\` divided by \`d\`, exact: quotient and remainder. \`a\` and \`d\` are below 2^45 (366 days), \`b\` below 2^35.
-- Beyond 2^53 by long division, seven binary digits of \`b\` at a time.
local function multiplyDivide(a, b, c, d)
  if a * b <= 9007199254740991 then
    local product = a * b + c
    local remainder = fmod(product, d)
    return (product - remainder) / d, remainder
  end
  local quotient, remainder = 0, 0
  for _, place in ipairs({ 268435456, 2097152, 16384, 128, 1 }) do
    local digits = math.floor(b / place) % 128
    local part = remainder * 128 + a * digits
    remainder = fmod(part, d)
    quotient = quotient * 128 + (part - remainder) / d
  end
  local rest = remainder + c
  remainder = fmod(rest, d)
  if remainder < 0 then remainder = remainder + d end
  return quotient + (rest - remainder) / d, remainder
end

local function plus(micros, part, cost, max, interval)
  local quotient, remainder = multiplyDivide(interval, cost, 0, max)
  local parts = part + remainder
  if parts < max then return micros + quotient, parts end
  return micros + quotient + 1, parts - max
end

local function ceil(micros, part)
  if part > 0 then return micros + 1 end
  return micros
end

local function tokens(micros, part, max, interval)
  if micros >= interval then return 0 end
  return (multiplyDivide(interval - micros, max, -part, interval))
end

local function decide(key, max, interval, asked, take, more, now)
  local state = redis.call('GET', key)
  local micros, part = 0, 0
  if state then
    if #state ~= 40 then error('WRONGTYPE the string is none of a token bucket', 0) end
    local takenAt, fullAt, stored, ownMax, ownInterval = unpack('>ddddd', state)
    if isAhead(takenAt, now) then
      takenAt, fullAt = now, now + fullAt - takenAt
      local written = pack('>ddddd', takenAt, fullAt, stored, ownMax, ownInterval)
      redis.call('SET', key, written, 'PX', expiry(fullAt - now + 1))
    end
    -- Under another rate, the tokens that were out are out still, and the bucket has refilled at the new rate since.
    if ownMax ~= max or ownInterval ~= interval then
      local out = ownMax - tokens(fullAt - takenAt, stored, ownMax, ownInterval)
      local missing
      missing, stored = plus(0, 0, math.min(out, max), max, interval)
      fullAt = takenAt + missing
    end
    if fullAt >= now then micros, part = fullAt - now, stored end
  end
  local late = ceil(plus(micros, part, asked, max, interval)) - interval
  if late > 0 or take == 0 then
    return tokens(micros, part, max, interval), math.max(0, late), ceil(micros, part)
  end
  local cost = take
  if more > 0 then cost = take + math.min(more, tokens(micros, part, max, interval) - take) end
  local after, rest = plus(micros, part, cost, max, interval)
  redis.call('SET', key, pack('>ddddd', now, now + after, rest, max, interval), 'PX', expiry(after + 1))
  return tokens(after, rest, max, interval), 0, ceil(after, rest), cost
end
`

/** A test may state the time. */
const nowOr = (argument: string): string => `
local now = tonumber(${argument})
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
`

/**
 * One limit. Arguments: max, interval, asked; take where it is another than asked, more where it is not 0, and the time.
 * Answers remaining, retryAfter, resetAfter, the time, and what was taken if anything was.
 */
const oneOf = (algorithm: string): Script =>
  script(`${common}${algorithm}${nowOr("ARGV[6]")}
local asked = tonumber(ARGV[3])
local remaining, retryAfter, resetAfter, taken =
  decide(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), asked, tonumber(ARGV[4]) or asked, tonumber(ARGV[5]) or 0, now)
return { remaining, retryAfter, resetAfter, now, taken }
`)

export const one: Readonly<Record<AlgorithmName, Script>> = {
  "sliding-window": oneOf(slidingWindow),
  "fixed-window": oneOf(fixedWindow),
  "token-bucket": oneOf(tokenBucket)
}

const codes: Readonly<Record<AlgorithmName, number>> = { "sliding-window": 1, "fixed-window": 2, "token-bucket": 3 }

/** How `several` knows the algorithm. */
export const codeOf = (algorithm: AlgorithmName): number => codes[algorithm]

const inOrder = [slidingWindow, fixedWindow, tokenBucket]

/**
 * Several limits, taken from all at once or not at all. Arguments: whether to take, and the time or an empty text; then
 * for each key the code of its algorithm, max, interval, asked and take. Answers remaining, retryAfter and resetAfter for
 * each, and the time.
 */
export const several: Script = script(`${common}
local algorithms = {}
${inOrder.map((algorithm, index) => `do${algorithm}algorithms[${index + 1}] = decide\nend`).join("\n")}
${nowOr("ARGV[2]")}
local function decideAll(taking)
  local answers, admitted = {}, true
  for index, key in ipairs(KEYS) do
    local at = index * 5 - 2
    local take = 0
    if taking then take = tonumber(ARGV[at + 4]) end
    local remaining, retryAfter, resetAfter = algorithms[tonumber(ARGV[at])](
      key, tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), take, 0, now)
    local to = #answers
    answers[to + 1], answers[to + 2], answers[to + 3] = remaining, retryAfter, resetAfter
    if retryAfter > 0 then admitted = false end
  end
  return answers, admitted
end

local answers, admitted = decideAll(false)
if admitted and ARGV[1] == '1' then answers = decideAll(true) end
answers[#answers + 1] = now
return answers
`)

export const forget: Script = script("return redis.call('DEL', KEYS[1])")
