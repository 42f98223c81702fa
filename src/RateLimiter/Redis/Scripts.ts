import { type Script, script } from "../../Redis/Script.js"
import type { AlgorithmName } from "../Algorithm.js"

/*
 * The cores of `SlidingWindow.ts`, `FixedWindow.ts` and `TokenBucket.ts`, in Lua: each decides as its original does, and
 * keeps the same in Redis. All numbers are whole, and below 2^53, where doubles are exact; they are packed, so that none
 * passes through text. Times are microseconds of Redis.
 *
 * Each goes on from `key, max, interval, asked, take, more, now`: whether there is room for `asked` units; and if there is,
 * and `take` is not 0, takes those, and of `more` units as many as there are. `asked` is never above `max`.
 *
 * A script runs from its first line for each call, so a function in it is made for each call (0.2 µs of some 5), and one of
 * a library is looked up and called (0.1 µs). Where nearly all calls pass there is none that can be done without.
 */
type Algorithm = (end: Ends) => string

/** How an algorithm ends, in terms of its Lua. */
interface Ends {
  readonly refused: (remaining: string, retryAfter: string, resetAfter: string) => string
  /** There is room, and nothing was to be taken. */
  readonly free: (remaining: string, resetAfter: string) => string
  readonly taken: (remaining: string, resetAfter: string) => string
}

/**
 * A key goes a second after all in it has lapsed, or later: never before, though the two clocks of Redis round differently.
 * This is in milliseconds, rounded up, of whole microseconds. To state it is 1 µs, so it is done where that changes.
 */
const expiry = (micros: string): string => `(${micros} + 1000999 - (${micros} + 999) % 1000) / 1000`

/**
 * What stands further ahead than a second was written before the clock of Redis was turned back, or by a Redis whose clock
 * was ahead. How long ago that was, nobody knows: it counts as if it had been now. So nobody gets more, and nobody is
 * held up for as long as the clock was ahead. What is ahead by less is left to lapse later.
 */
const isAhead = (at: string): string => `${at} - now > 1000000`

/** What is taken: of what is asked for besides, as much as there is. */
const costOf = (free: string): string => `local cost = take
if more > 0 then cost = take + math.min(more, ${free} - take) end`

/** Seldom needed, and so made where it is. */
const search = `
local function entry(index)
  local pair = call('LINDEX', key, index)
  if pair then return unpack('>dd', pair) end
end

-- The first entry after \`low\` for which \`reached\` is true, by leaps and then by halves: near the head it takes a step or
-- two. There is one.
local function first(low, reached)
  local high, leap = low + 1, 1
  while true do
    local at, sum = entry(high)
    if not at or reached(at, sum) then break end
    low, leap = high, leap * 2
    high = high + leap
  end
  while high - low > 1 do
    local middle = math.floor((low + high) / 2)
    local at, sum = entry(middle)
    if not at or reached(at, sum) then high = middle else low = middle end
  end
  return high
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
const slidingWindow: Algorithm = (end) => `
local call, pack, unpack = redis.call, struct.pack, struct.unpack
-- Texts: Redis makes one of each number first, which is slower.
local head = call('LRANGE', key, '0', '2')
local carried, oldest, third = head[1], head[2], head[3]
local gone, sum, newest, expired, term, free = 0, 0, 0, 0, 0, max
local used = false
if oldest then
  if #carried ~= 16 then error('WRONGTYPE the list is none of a sliding window', 0) end
  newest, sum = unpack('>dd', third and call('LINDEX', key, '-1') or oldest)
  local before = now - interval
  if newest > before then
    used = true
    term, gone = unpack('>dd', carried)
    local at, upTo = unpack('>dd', oldest)
    if at <= before then
      -- There is a third: the newest is not in the second.
      if unpack('>dd', third) > before then
        expired, gone = 1, upTo
      else
        ${search}
        expired = first(2, function(at) return at > before end) - 1
        local _
        _, gone = entry(expired)
      end
    end
    if ${isAhead("newest")} then
      call('RPUSH', key, pack('>dd', interval, gone), pack('>dd', now, sum))
      call('LTRIM', key, -2, -1)
      call('PEXPIRE', key, math.ceil(interval * 1.125 / 1000) + 1000)
      newest, expired, term = now, 0, interval
    end
    free = max - sum + gone
  end
elseif carried then
  error('WRONGTYPE the list is none of a sliding window', 0)
end
if asked > free then
  ${search}
  local reaching = gone + asked - free
  local at = entry(first(expired, function(_, sum) return sum >= reaching end))
  ${end.refused("math.max(0, free)", "at + interval - now", "newest + interval - now")}
end
if take == 0 then
  ${end.free("free", "used and newest + interval - now or 0")}
end
${costOf("free")}
local at = now
if used then
  if expired > 0 then call('LTRIM', key, expired, '-1') end
  if sum + cost > 9007199254740991 then
    -- Sums stay below 2^53: what has left is taken out of them.
    local pairs = call('LRANGE', key, 0, -1)
    call('DEL', key)
    for index = 1, #pairs do
      local at, upTo = unpack('>dd', pairs[index])
      call('RPUSH', key, pack('>dd', at, upTo - gone))
    end
    sum, gone, term = sum - gone, 0, 0
  end
  if expired > 0 or term ~= interval then call('LSET', key, '0', pack('>dd', interval, gone)) end
  -- The list stays in order even under a clock that somebody turned back.
  if newest >= now then
    at = newest
    call('LSET', key, '-1', pack('>dd', at, sum + cost))
  else
    call('RPUSH', key, pack('>dd', at, sum + cost))
  end
  local last, this = newest / interval * 8, at / interval * 8
  if term ~= interval or last - last % 1 ~= this - this % 1 then term = nil end
else
  if carried then call('DEL', key) end
  call('RPUSH', key, pack('>dd', interval, 0), pack('>dd', at, cost))
  term = nil
end
if not term then call('PEXPIRE', key, math.ceil((at + interval * 1.125 - now) / 1000) + 1000) end
${end.taken("free - cost", "at + interval - now")}
`

/**
 * When the window opened, what was used of it, and the interval by which the key expires, in steps of 8 ms: so it fits in
 * four bytes, and in the second that is added. 16 bytes a key.
 */
const fixedWindow: Algorithm = (end) => `
local state = redis.call('GET', key)
local start, used, left, free = 0, 0, 0, max
local term, stated = math.ceil(interval / 8000)
if state then
  if #state ~= 16 then error('WRONGTYPE the string is none of a fixed window', 0) end
  start, used, stated = struct.unpack('>dI4I4', state)
  if ${isAhead("start")} then
    start, stated = now, term
    redis.call('SET', key, struct.pack('>dI4I4', start, used, term), 'PX', ${expiry("interval")})
  end
  left = start + interval - now
  if left > 0 then free = max - used else left = 0 end
end
if asked > free then
  ${end.refused("math.max(0, free)", "left", "left")}
end
if take == 0 then
  ${end.free("free", "left")}
end
${costOf("free")}
if left > 0 and stated == term then
  redis.call('SETRANGE', key, '8', struct.pack('>I4', used + cost))
else
  if left == 0 then start, used, left = now, 0, interval end
  redis.call('SET', key, struct.pack('>dI4I4', start, used + cost, term), 'PX', ${expiry("left")})
end
${end.taken("free - cost", "left")}
`

/**
 * The same of a bucket that is full at some time, which each call puts off a little: in steps of half a second, from half a
 * second on, so that not each of them states it.
 */
const expiresAt = (full: string): string => `(${full} + 1000000 - ${full} % 500000)`

/**
 * When it was last taken from, when the bucket is full again (whole microseconds, and a part in \`1 / max\` of one), and
 * the rate in which that is counted: 40 bytes a key.
 */
const tokenBucket: Algorithm = (end) => `
-- \`a * b + c\` divided by \`d\`, exact: quotient and remainder. \`a\` and \`d\` are below 2^45 (366 days), \`b\` below 2^35,
-- \`c\` from -10^9 to 10^9. Where the sum may be beyond 2^53, by long division, seven binary digits of \`b\` at a time.
local function multiplyDivide(a, b, c, d)
  local product = a * b
  if product <= 9007198254740991 then
    product = product + c
    local remainder = math.fmod(product, d)
    return (product - remainder) / d, remainder
  end
  local quotient, remainder = 0, 0
  for _, place in ipairs({ 268435456, 2097152, 16384, 128, 1 }) do
    local digits = math.floor(b / place) % 128
    local part = remainder * 128 + a * digits
    remainder = math.fmod(part, d)
    quotient = quotient * 128 + (part - remainder) / d
  end
  local rest = remainder + c
  remainder = math.fmod(rest, d)
  if remainder < 0 then remainder = remainder + d end
  return quotient + (rest - remainder) / d, remainder
end

local state = redis.call('GET', key)
local micros, part = 0, 0
local expires
if state then
  if #state ~= 40 then error('WRONGTYPE the string is none of a token bucket', 0) end
  local takenAt, fullAt, stored, ownMax, ownInterval = struct.unpack('>ddddd', state)
  if ${isAhead("takenAt")} then
    takenAt, fullAt = now, now + fullAt - takenAt
    local written = struct.pack('>ddddd', takenAt, fullAt, stored, ownMax, ownInterval)
    redis.call('SET', key, written, 'PX', math.ceil((${expiresAt("fullAt")} - now) / 1000))
  end
  if ownMax == max and ownInterval == interval then
    expires = ${expiresAt("fullAt")}
  else
    -- Under another rate, the tokens that were out are out still, and the bucket has refilled at the new rate since.
    local out, missing = ownMax, fullAt - takenAt
    if missing < ownInterval then out = out - multiplyDivide(ownInterval - missing, ownMax, -stored, ownInterval) end
    missing, stored = multiplyDivide(interval, math.min(out, max), 0, max)
    fullAt = takenAt + missing
  end
  if fullAt >= now then micros, part = fullAt - now, stored end
end

-- The bucket is full after \`micros\` and \`part\`: so many whole tokens are in it.
local free = 0
if micros < interval then free = (multiplyDivide(interval - micros, max, -part, interval)) end
-- When it has what is asked for, and when it is full, each with a part of a microsecond as a whole one.
local wait, rest = multiplyDivide(interval, asked, part, max)
local late = micros + wait - interval
if rest > 0 then late = late + 1 end
local full = micros
if part > 0 then full = full + 1 end
if late > 0 then
  ${end.refused("free", "late", "full")}
end
if take == 0 then
  ${end.free("free", "full")}
end
${costOf("free")}
if cost ~= asked then wait, rest = multiplyDivide(interval, cost, part, max) end
local fullAt = now + micros + wait
if ${expiresAt("fullAt")} == expires then
  redis.call('SETRANGE', key, '0', struct.pack('>ddd', now, fullAt, rest))
else
  local written = struct.pack('>ddddd', now, fullAt, rest, max, interval)
  redis.call('SET', key, written, 'PX', math.ceil((${expiresAt("fullAt")} - now) / 1000))
end
full = fullAt - now
if rest > 0 then full = full + 1 end
${end.taken("free - cost", "full")}
`

/** A test may state the time. */
const orTime = `if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
`

/**
 * One limit. Arguments: max and interval; asked where it is not 1, take where it is another than asked, more where it is
 * not 0, and the time. Answers remaining and resetAfter; besides, of a refused call, retryAfter; of one that took, 0, the
 * time, and how much.
 */
const oneOf = (algorithm: Algorithm): Script =>
  script(
    `
local key, max, interval, asked, more = KEYS[1], ARGV[1] + 0, ARGV[2] + 0, 1, 0
local take, now = asked
if ARGV[3] then
  asked, more = ARGV[3] + 0, (ARGV[5] or 0) + 0
  take, now = (ARGV[4] or asked) + 0, tonumber(ARGV[6])
end
${orTime}${algorithm({
  refused: (remaining, retryAfter, resetAfter) =>
    `return struct.pack('>ddd', ${remaining}, ${resetAfter}, ${retryAfter})`,
  free: (remaining, resetAfter) => `return struct.pack('>dd', ${remaining}, ${resetAfter})`,
  taken: (remaining, resetAfter) => `return struct.pack('>ddddd', ${remaining}, ${resetAfter}, 0, now, cost)`
})}`,
    { isPacked: true }
  )

export const one: Readonly<Record<AlgorithmName, Script>> = {
  "sliding-window": oneOf(slidingWindow),
  "fixed-window": oneOf(fixedWindow),
  "token-bucket": oneOf(tokenBucket)
}

const codes: Readonly<Record<AlgorithmName, number>> = { "sliding-window": 1, "fixed-window": 2, "token-bucket": 3 }

/** How `several` knows the algorithm. */
export const codeOf = (algorithm: AlgorithmName): number => codes[algorithm]

const inOrder = [slidingWindow, fixedWindow, tokenBucket]

const functionOf = (algorithm: Algorithm): string => `function(key, max, interval, asked, take)
${algorithm({
  refused: (remaining, retryAfter, resetAfter) => `return ${remaining}, ${retryAfter}, ${resetAfter}`,
  free: (remaining, resetAfter) => `return ${remaining}, 0, ${resetAfter}`,
  taken: (remaining, resetAfter) => `return ${remaining}, 0, ${resetAfter}`
})}end`

/**
 * Several limits, taken from all at once or not at all. Arguments: whether to take, and the time or an empty text; then
 * for each key the code of its algorithm, max, interval, asked and take. Answers remaining, retryAfter and resetAfter for
 * each, and the time.
 */
export const several: Script = script(`
local now = tonumber(ARGV[2])
${orTime}local algorithms, more = {}, 0
${inOrder.map((algorithm, index) => `algorithms[${index + 1}] = ${functionOf(algorithm)}`).join("\n")}
local function decideAll(taking)
  local answers, admitted = {}, true
  for index, key in ipairs(KEYS) do
    local at = index * 5 - 2
    local take = 0
    if taking then take = tonumber(ARGV[at + 4]) end
    local remaining, retryAfter, resetAfter = algorithms[tonumber(ARGV[at])](
      key, tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), take)
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
