import { script } from "../../Redis/Script.js"

/**
 * What the circuit is, and the steps that change it, as `Circuit.ts` has them: that file is the oracle, and a model test
 * drives both with the same calls. Whole numbers only (a rate is compared with, never kept), by the time of Redis.
 *
 * Keys: 1 the circuit; 2 its probes, by the end of their leases; 3 what a window counts; 4 the ring of a window of calls.
 * One brace-tag makes all of them neighbours in a cluster.
 *
 * Arguments: 1 the time in microseconds, for tests, or nothing; 2 the channel; 3 the name; 4 the probes and 5 the hold of
 * the policy (0: as long as the opening); then those of the step.
 *
 * `gen` begins with the time at which the circuit is made and grows by one with each stretch: what was let through before
 * a flush is late after it. `seq` counts what others should know within a stretch.
 */
const circuit = `
local S, P, H, R = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local probes = tonumber(ARGV[4])

local now
if ARGV[1] == '' then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
else
  now = tonumber(ARGV[1])
end

local function int(n) return string.format('%.0f', n) end

local f = redis.call('HMGET', S, 'gen', 'seq', 'state', 'ends', 'delay', 'openings', 'failures', 'succeeded', 'because', 'leased')
local known = f[1]
local gen, seq, state = tonumber(f[1]) or now, tonumber(f[2]) or 0, f[3] or 'closed'
local ends, delay, openings = tonumber(f[4]) or 0, tonumber(f[5]) or 0, tonumber(f[6]) or 0
local failures, succeeded, because = tonumber(f[7]) or 0, tonumber(f[8]) or 0, f[9] or '-'
local leased = tonumber(f[10]) or 0
local moves, changed, told, advice = {}, not known, false, '-'

local hold = tonumber(ARGV[5])
if hold == 0 then hold = delay end

-- Time that went back would lengthen what is left.
if state == 'open' and ends - now > delay then ends, changed = now + delay, true end

local function renew()
  gen, seq, succeeded, failures, leased, changed, told = gen + 1, 0, 0, 0, 0, true, true
  redis.call('ZREMRANGEBYRANK', P, 0, -1)
end

local function move(to, reason)
  moves[#moves + 1] = state .. '>' .. to .. ':' .. reason
  state = to
  if to == 'closed' then because = '-' end
  renew()
end

local function open(why, length)
  because, delay, openings = why, length, openings + 1
  ends = now + length
  move('open', string.match(why, '^[%a_]+'))
end

local function close()
  move('closed', 'probes_succeeded')
  openings = 0
end

local function advance()
  if state == 'open' and now > ends - 1000 then move('half_open', 'reset_timeout') end
end

-- The end of the lease that ends first, and whose it is.
local function first()
  local one = redis.call('ZRANGE', P, 0, 0, 'WITHSCORES')
  if not one[1] then return nil end
  local at = tonumber(one[2])
  if at - now > leased then
    at = now + leased
    redis.call('ZADD', P, int(at), one[1])
  end
  return at, one[1]
end

local function left()
  if state == 'open' then return math.max(0, ends - now) end
  if state ~= 'half_open' or redis.call('ZCARD', P) + succeeded < probes then return 0 end
  local at = first()
  return at and math.max(0, at - now) or 0
end

-- Which processes' own circuits are open, and for how long: where they are local, and no probe is kept here.
local function advise()
  local given = redis.call('ZREVRANGEBYSCORE', P, '+inf', '(' .. int(now), 'WITHSCORES', 'LIMIT', 0, 7)
  local lengths = {}
  for i = 2, #given, 2 do lengths[#lengths + 1] = given[i - 1] .. '=' .. int(tonumber(given[i]) - now) end
  if #lengths > 0 then advice = table.concat(lengths, ',') end
end

-- Enough of them have succeeded for the policy that is in force now.
if state == 'half_open' and succeeded >= probes then close() end

local function answer(verdict)
  if changed then
    redis.call('HSET', S, 'gen', int(gen), 'seq', int(seq), 'state', state, 'ends', int(ends), 'delay', int(delay),
      'openings', int(openings), 'failures', int(failures), 'succeeded', int(succeeded), 'because', because, 'leased', int(leased))
  end
  if known or changed then
    local day = 86400000
    local byHand = state == 'forced_open' or state == 'disabled'
    local kept = byHand and 30 * day or math.max(day, math.ceil(delay / 500))
    redis.call('PEXPIRE', S, int(kept))
  end
  local view = table.concat({ int(gen), int(seq), state, int(left()), int(openings), int(failures), because, advice }, ' ')
  if told then
    local text = ARGV[3] .. ' ' .. view
    for i = 1, #moves do text = text .. ' ' .. moves[i] end
    redis.call('PUBLISH', ARGV[2], text)
  end
  return { view, verdict, int(#moves) }
end
`

/** Lets a call through, as a probe where it is one. 6 the lease and 7 who asks. */
const acquireStep = `
advance()
if state == 'closed' or state == 'disabled' then
  changed = changed or not known
  return answer('pass')
end
if state ~= 'half_open' then return answer('reject') end
local at, holder = first()
local taken = redis.call('ZCARD', P) + succeeded
if taken >= probes then
  if not at or at > now then return answer('reject') end
  redis.call('ZREM', P, holder)
end
local lease = math.min(tonumber(ARGV[6]), hold)
leased = math.max(leased, lease)
redis.call('ZADD', P, int(now + lease), ARGV[7])
redis.call('PEXPIRE', P, int(math.max(86400000, math.ceil(hold / 500))))
seq, changed = seq + 1, true
return answer('probe ' .. int(hold))
`

/** Takes what a probe has ended in. 6 the generation (or nothing: whichever it is), 7 who, 8 the outcome, 9 the length of an opening that it causes. */
const settleStep = `
if state ~= 'half_open' or (ARGV[6] ~= '' and gen ~= tonumber(ARGV[6])) or redis.call('ZREM', P, ARGV[7]) == 0 then
  return answer('late')
end
changed = true
if ARGV[8] == 'ignore' then
  seq, told = seq + 1, true
elseif ARGV[8] == 'failure' then
  open('probe_failed', tonumber(ARGV[9]))
else
  seq, succeeded = seq + 1, succeeded + 1
  if succeeded >= probes then close() end
end
return answer('settled')
`

/** Keeps the place of a probe. 6 the generation, 7 who, 8 for how long. */
const renewStep = `
if state ~= 'half_open' or gen ~= tonumber(ARGV[6]) or not redis.call('ZSCORE', P, ARGV[7]) then return answer('late') end
redis.call('ZADD', P, int(now + math.min(tonumber(ARGV[8]), leased)), ARGV[7])
return answer('renewed')
`

/**
 * Takes what calls of a closed circuit have ended in, in their order. 6 the generation, 7 the outcomes (a digit each: 1
 * failed, 2 slow, 3 both), 8 the length of an opening that they cause, then failures in a row: 9 how many open.
 */
const failuresStep = `
if state ~= 'closed' or gen ~= tonumber(ARGV[6]) then return answer('late') end
local before, most, outcomes = failures, tonumber(ARGV[9]), ARGV[7]
for i = 1, #outcomes do
  failures = string.byte(outcomes, i) % 2 == 1 and failures + 1 or 0
  if failures >= most then
    open('failures:' .. int(failures), tonumber(ARGV[8]))
    return answer('opened')
  end
end
changed = changed or failures ~= before
-- Who succeeds needs to say so only where somebody has failed.
if (before == 0) ~= (failures == 0) then seq, told = seq + 1, true end
return answer('counted')
`

/**
 * The same for a rate. 9 the failure rate, 10 the slow rate (or nothing), 11 the least calls, 12 how long the window is
 * kept in milliseconds, 13 its calls, or 14 the width of a tenth of its time.
 */
const rateStep = `
if state ~= 'closed' or gen ~= tonumber(ARGV[6]) then return answer('late') end
local outcomes, rate, slowRate, least = ARGV[7], tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local size, width = tonumber(ARGV[13]), tonumber(ARGV[14])

local w = {}
local all = redis.call('HGETALL', H)
for i = 1, #all, 2 do w[all[i]] = tonumber(all[i + 1]) end
local number = width and math.floor(now / width)
-- What was counted in another stretch is forgotten; and what time that went back would keep, or a ring that is gone.
if w.gen ~= gen or (width and (w.place or 0) > number + 10) or (size and redis.call('STRLEN', R) < (w.calls or 0)) then
  w = { gen = gen }
end
local calls, failed, slow, place = w.calls or 0, w.failed or 0, w.slow or 0, w.place or 0

local function count(outcome, by)
  calls = calls + by
  if outcome % 2 == 1 then failed = failed + by end
  if outcome >= 2 then slow = slow + by end
end

local written = {}
if not size then
  local steps = math.min(number - place, 10)
  for i = 1, steps do
    local slot = (number - steps + i) % 10
    calls, failed, slow = calls - (w['c' .. slot] or 0), failed - (w['f' .. slot] or 0), slow - (w['s' .. slot] or 0)
    for _, sum in ipairs({ 'c', 'f', 's' }) do w[sum .. slot], written[sum .. slot] = 0, 0 end
  end
  place = math.max(place, number)
end

local why
for i = 1, #outcomes do
  local outcome = string.byte(outcomes, i) - 48
  if size then
    if calls == size then count((string.byte(redis.call('GETRANGE', R, place, place)) or 48) - 48, -1) end
    redis.call('SETRANGE', R, place, string.char(48 + outcome))
    place = (place + 1) % size
  else
    local slot = place % 10
    for sum, by in pairs({ c = 1, f = outcome % 2, s = outcome >= 2 and 1 or 0 }) do
      w[sum .. slot] = (w[sum .. slot] or 0) + by
      written[sum .. slot] = w[sum .. slot]
    end
  end
  count(outcome, 1)
  if calls >= least then
    if failed > 0 and failed >= rate * calls then
      why = 'failure_rate:' .. int(failed) .. ':' .. int(calls)
    elseif slowRate and slow > 0 and slow >= slowRate * calls then
      why = 'slow_call_rate:' .. int(slow) .. ':' .. int(calls)
    end
  end
  if why then
    open(why, tonumber(ARGV[8]))
    return answer('opened')
  end
end
redis.call('HSET', H, 'gen', int(gen), 'calls', int(calls), 'failed', int(failed), 'slow', int(slow), 'place', int(place))
for sum, value in pairs(written) do redis.call('HSET', H, sum, int(value)) end
redis.call('PEXPIRE', H, ARGV[12])
if size then redis.call('PEXPIRE', R, ARGV[12]) end
return answer('counted')
`

/** What an operator does. 6 what. */
const controlStep = `
if ARGV[6] == 'force_open' then
  if state ~= 'forced_open' then move('forced_open', 'forced_open') end
elseif ARGV[6] == 'disable' then
  if state ~= 'disabled' then move('disabled', 'disabled') end
else
  if state ~= 'closed' then move('closed', 'reset') else renew() end
  openings = 0
end
return answer('done')
`

/**
 * The circuit as it stands. One that was never used is made only where 6 says that circuits are local, or to write, which
 * shows whether Redis takes that in.
 */
const lookStep = `
if ARGV[6] == 'local' then
  advise()
  return answer('known')
end
if ARGV[6] == 'write' then
  changed = true
elseif not known then
  gen, changed = 0, false
  return answer('unknown')
end
advance()
return answer('known')
`

/** Tells the others that the circuit of this process has opened. 6 which process, 7 for how long. */
const adviseStep = `
if state == 'closed' then
  redis.call('ZREMRANGEBYSCORE', P, '-inf', int(now))
  redis.call('ZADD', P, int(now + tonumber(ARGV[7])), ARGV[6])
  redis.call('ZREMRANGEBYRANK', P, 0, -1001)
  redis.call('PEXPIRE', P, int(math.max(86400000, math.ceil(tonumber(ARGV[7]) / 500))))
  seq, changed, told = seq + 1, true, true
  advise()
end
return answer('advised')
`

export const acquire = script(circuit + acquireStep)
export const settle = script(circuit + settleStep)
export const renew = script(circuit + renewStep)
export const countFailures = script(circuit + failuresStep)
export const countRate = script(circuit + rateStep)
export const control = script(circuit + controlStep)
export const look = script(circuit + lookStep)
export const advise = script(circuit + adviseStep)

/** Whether Redis carries out scripts. */
export const trial = script("return 1")
