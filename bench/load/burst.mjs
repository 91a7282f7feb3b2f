// Sends requests as fast as the server responds: each connection sends the next one after its response.
import { headerOf } from './connection.mjs'

/**
 * @param connections open connections
 * @param amount the number of requests of all connections together
 * @param next returns the bytes of the next request
 * @returns the duration, and what was received
 */
export function burst(connections, amount, next) {
  const statuses = {}
  const before = bytesOf(connections)
  let asked = 0
  let answered = 0
  const began = performance.now()
  return new Promise((resolve, reject) => {
    const ask = (connection) => {
      if (asked === amount) return
      asked += 1
      connection.ask(next(), (error) => {
        if (error !== undefined) {
          reject(error)
          return
        }
        statuses[connection.status] = (statuses[connection.status] ?? 0) + 1
        answered += 1
        if (answered < amount) ask(connection)
        else resolve(summary(connection))
      })
    }
    const summary = ({ head }) => ({
      seconds: (performance.now() - began) / 1000,
      bytes: bytesOf(connections) - before,
      statuses,
      encoding: headerOf(head, 'content-encoding')
    })
    for (const connection of connections) ask(connection)
  })
}

const bytesOf = (connections) => connections.reduce((sum, { bytes }) => sum + bytes, 0)
