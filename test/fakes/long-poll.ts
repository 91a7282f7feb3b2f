import type { ServerResponse } from 'node:http'
import { sendJson } from './fake-server.ts'

const INTERVAL_MS = 5

/**
 * Answers a long poll when there is something to answer, or after a time.
 *
 * @param poll returns the answer, or undefined while there is none
 */
export function answerLongPoll(
  response: ServerResponse,
  { poll, timeoutMs, atEnd }: { readonly poll: () => unknown; readonly timeoutMs: number; readonly atEnd: unknown }
): void {
  const endsAt = performance.now() + timeoutMs
  const timer = setInterval(() => {
    const answer = poll() ?? (performance.now() >= endsAt ? atEnd : undefined)
    if (answer === undefined) return
    clearInterval(timer)
    sendJson(response, 200, answer)
  }, INTERVAL_MS)
  response.once('close', () => {
    clearInterval(timer)
  })
}
