// Requests at a rate that does not wait for answers, as users do not. A latency counts from when the request was due:
// one that had to wait for a free connection, or for this process, has waited.
import { quantile } from '../statistics.mjs'

/**
 * @param rate requests per second, evenly
 * @returns median and 99th percentile of the latencies, in milliseconds, and the rate at which answers came
 */
export function paced(connections, amount, rate, next) {
  const latencies = new Float64Array(amount)
  const intervalMs = 1000 / rate
  const free = [...connections]
  const statuses = {}
  let due = 0
  let answered = 0
  const began = performance.now() + 5
  return new Promise((resolve, reject) => {
    const send = () => {
      const connection = free.pop()
      const dueAt = began + due * intervalMs
      const place = due
      due += 1
      connection.ask(next(), (error) => {
        if (error !== undefined) {
          reject(error)
          return
        }
        latencies[place] = performance.now() - dueAt
        statuses[connection.status] = (statuses[connection.status] ?? 0) + 1
        free.push(connection)
        answered += 1
        if (answered === amount) resolve(summary())
      })
    }
    const summary = () => ({
      p50: quantile(latencies, 0.5),
      p99: quantile(latencies, 0.99),
      reached: (amount * 1000) / (performance.now() - began),
      statuses
    })
    // A timer comes once in a millisecond at best: several requests would be sent at once, and wait for each other.
    const turn = () => {
      while (due < amount && free.length > 0 && performance.now() >= began + due * intervalMs) send()
      if (due < amount) setImmediate(turn)
    }
    turn()
  })
}
