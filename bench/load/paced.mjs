// Sends requests at a rate that does not depend on responses, like that of users. A latency counts from when the
// request was due, including the wait for a free connection or for this process. Requests are due at the end of their
// millisecond: a process that polled the clock would take a core away from the server.
import { quantile } from '../statistics.mjs'

/**
 * @param rate requests per second, evenly
 * @returns median and 99th percentile of the latencies, in milliseconds; the same `sinceSent`, without the resolution
 * of a millisecond; whether all connections were ever in use; and the rate of the responses
 */
export function paced(connections, amount, rate, next) {
  const latencies = new Float64Array(amount)
  const sinceSent = new Float64Array(amount)
  /** Returns milliseconds since the beginning. */
  const dueAt = (place) => Math.ceil((place * 1000) / rate)
  const free = [...connections]
  const statuses = {}
  let due = 0
  let answered = 0
  let ranOut = false
  const began = performance.now() + 5
  return new Promise((resolve, reject) => {
    const send = () => {
      const connection = free.pop()
      const place = due
      due += 1
      const sentAt = performance.now()
      connection.ask(next(), (error) => {
        if (error !== undefined) {
          reject(error)
          return
        }
        const now = performance.now()
        latencies[place] = now - began - dueAt(place)
        sinceSent[place] = now - sentAt
        statuses[connection.status] = (statuses[connection.status] ?? 0) + 1
        free.push(connection)
        answered += 1
        if (answered === amount) resolve(summary())
      })
    }
    const summary = () => ({
      p50: quantile(latencies, 0.5),
      p99: quantile(latencies, 0.99),
      sinceSent: { p50: quantile(sinceSent, 0.5), p99: quantile(sinceSent, 0.99) },
      ranOut,
      reached: (amount * 1000) / (performance.now() - began),
      statuses
    })
    const turn = () => {
      while (due < amount && free.length > 0 && performance.now() >= began + dueAt(due)) send()
      if (due === amount) return
      ranOut ||= free.length === 0
      setTimeout(turn, 1)
    }
    turn()
  })
}
