const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
const month = `(${months.join("|")})`
const time = "(\\d{2}):(\\d{2}):(\\d{2})"

/** `Sun, 06 Nov 1994 08:49:37 GMT` */
const fixed = new RegExp(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\\d{2}) ${month} (\\d{4}) ${time} GMT$`)
/** `Sunday, 06-Nov-94 08:49:37 GMT` */
const rfc850 = new RegExp(`^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (\\d{2})-${month}-(\\d{2}) ${time} GMT$`)
/** `Sun Nov  6 08:49:37 1994` */
const asctime = new RegExp(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ${month} ([ \\d]\\d) ${time} (\\d{4})$`)

/** An HTTP-date, in each of its three forms (RFC 9110, 5.6.7), in milliseconds since 1970; nothing of any other text. */
export const parseHttpDate = (text: string, now: number): number | undefined => {
  const one = fixed.exec(text)
  if (one !== null) return timeOf(one[3], one[2], one[1], one.slice(4))
  const two = rfc850.exec(text)
  if (two !== null) return timeOf(String(fullYear(Number(two[3]), now)), two[2], two[1], two.slice(4))
  const three = asctime.exec(text)
  if (three !== null) return timeOf(three[6], three[1], three[2], three.slice(3, 6))
  return undefined
}

const timeOf = (
  year: string | undefined,
  month: string | undefined,
  day: string | undefined,
  time: ReadonlyArray<string>
): number | undefined => {
  const [hours = 0, minutes = 0, seconds = 0] = time.map(Number)
  if (hours > 23 || minutes > 59 || seconds > 60) return undefined
  const at = new Date(0)
  const index = months.indexOf(month ?? "")
  at.setUTCFullYear(Number(year), index, Number(day))
  // The 31st of February is no day.
  if (at.getUTCMonth() !== index) return undefined
  return at.getTime() + ((hours * 60 + minutes) * 60 + seconds) * 1000
}

/** A year of two digits that is more than 50 years ahead is the last one that ends so. */
const fullYear = (digits: number, now: number): number => {
  const thisYear = new Date(now).getUTCFullYear()
  const year = thisYear - (thisYear % 100) + digits
  return year > thisYear + 50 ? year - 100 : year
}

/**
 * How long a response says to wait, in milliseconds, by its headers `Retry-After` and `Date`: whole seconds, or until a date,
 * by the clock of the server where that is known. Nothing where the header is missing or malformed.
 */
export const retryAfterMillis = (
  value: string | undefined,
  date: string | undefined,
  now: number
): number | undefined => {
  if (value === undefined) return undefined
  if (/^\d{1,15}$/.test(value)) return Number(value) * 1000
  const until = parseHttpDate(value, now)
  if (until === undefined) return undefined
  const sent = date === undefined ? undefined : parseHttpDate(date, now)
  return Math.max(0, until - (sent ?? now))
}
