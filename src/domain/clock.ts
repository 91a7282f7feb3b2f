/** A source of time, injectable for tests. */
export interface Clock {
  /** Monotonic milliseconds from an arbitrary origin. May stand still while the machine sleeps. */
  now(): number
  /** Wall-clock milliseconds since 1970. May jump. */
  date(): number
}
