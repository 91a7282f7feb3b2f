import type { Test } from 'tap'

/** `REQUIRE_SERVICES=postgres,redis,s3`: services that are installed in CI. Their tests must not be skipped. */
const REQUIRED = new Set((process.env['REQUIRE_SERVICES'] ?? '').split(',').map((name) => name.trim()))

/**
 * Returns whether a test that needs the service `name` can run. If not, it has skipped the test with a reason, or
 * failed it if `REQUIRE_SERVICES` names the service: return at once.
 */
export function requireService(t: Test, name: string, available: boolean): boolean {
  if (available) return true
  const reason = `${name} is not installed`
  if (REQUIRED.has(name)) t.fail(`${reason}, and REQUIRE_SERVICES asks for it`)
  else t.plan(0, reason)
  return false
}
