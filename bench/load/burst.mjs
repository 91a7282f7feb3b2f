// So many requests as fast as the server answers them: each connection asks again as soon as it has its answer.
import { headerOf } from './connection.mjs'

/**
 * @param connections open ones
 * @param amount how many requests, of all connections together
 * @param next gives the bytes of the next request
 * @returns how long it took, and what came
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
