import type { Test } from 'tap'

/** `REQUIRE_SERVICES=postgres,redis,s3`: what CI has installed, and must therefore not skip. */
const REQUIRED = new Set((process.env['REQUIRE_SERVICES'] ?? '').split(',').map((name) => name.trim()))

/**
 * Whether a test that needs the service `name` may run. Where it may not, the test has been skipped with a reason, or
 * failed if `REQUIRE_SERVICES` names the service: return at once.
 */
export function requireService(t: Test, name: string, available: boolean): boolean {
  if (available) return true
  const reason = `${name} is not installed`
  if (REQUIRED.has(name)) t.fail(`${reason}, and REQUIRE_SERVICES asks for it`)
  else t.plan(0, reason)
  return false
}
