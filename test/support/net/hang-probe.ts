import { createEgress } from '../../../src/net/egress.ts'
import { failureOf } from '../rejection.ts'
import { NET_CLIENTS } from './clients.ts'
import { TEST_TIMEOUTS } from '../time/timeouts.ts'

/**
 * Runs in a process of its own, with `--expose-gc`. Calls a server that never responds while the garbage collector
 * runs, one with an endless response, and one that responds normally. Prints the results, and must exit by itself.
 */
const [silent = '', endless = '', healthy = ''] = process.argv.slice(2)
const timeouts = { ...TEST_TIMEOUTS, headersMs: 400, idleMs: 400, totalMs: 1200 }
const codes: string[] = []
for (const client of NET_CLIENTS) {
  const egress = createEgress({ allowHosts: ['127.0.0.1'], timeouts })
  const gcTimer = setInterval(() => globalThis.gc?.(), 5)
  for (const origin of [silent, endless]) {
    // Signals that no other code references.
    const call = client.call(egress, origin, { timeouts, signal: new AbortController().signal })
    codes.push((await failureOf(call)).code)
  }
  clearInterval(gcTimer)
  await client.call(egress, healthy)
}

// Only the total deadline: the others are longer.
const longTimeouts = { ...TEST_TIMEOUTS, headersMs: 200_000, idleMs: 200_000, totalMs: 400 }
const egress = createEgress({ allowHosts: ['127.0.0.1'], timeouts: longTimeouts })
const gcTimer = setInterval(() => globalThis.gc?.(), 5)
for (const origin of [silent, endless]) {
  const request = { method: 'GET', url: new URL(origin), signal: new AbortController().signal }
  codes.push((await failureOf(egress.request(request).then(({ body }) => body.toArray()))).code)
}
clearInterval(gcTimer)
process.stdout.write(JSON.stringify(codes))
