// A mix of requests of many users: 80 % are hits, 15 % hits that the client has already (304), 5 % misses: folders
// that have not been requested before. 5,000 folders of 200 users; each user has 3 empty ones, 19 of 20 entries and 3
// of 200.
import { random } from '../statistics.mjs'
import { authorizationOf, USERS } from '../users.mjs'
import { headerOf, requestBytes } from './connection.mjs'

const FOLDERS = 5000
const SIZES = [...Array(3).fill(0), ...Array(19).fill(20), ...Array(3).fill(200)]
const UNCHANGED = 0.15
const MISSES = 0.05

const pathOf = (folder) => `/cloud/bench/listing?folder=${folder}`

export function mixOf(seed = 1) {
  const draw = random(seed)
  const folders = Array.from({ length: FOLDERS }, (_, index) => {
    const path = pathOf(`f${SIZES[Math.floor(index / USERS)]}-${index}`)
    const authorization = authorizationOf(index % USERS)
    return { path, authorization, hit: requestBytes(path, { authorization }), unchanged: null }
  })
  let misses = 0

  return {
    /** Requests each folder once, which makes all of them hits, and stores their ETags. */
    async fill(connections) {
      const left = [...folders]
      const work = async (connection) => {
        for (let folder = left.pop(); folder !== undefined; folder = left.pop()) {
          const { path, authorization, hit } = folder
          await answer(connection, hit)
          folder.unchanged = requestBytes(path, { authorization, 'if-none-match': headerOf(connection.head, 'etag') })
        }
      }
      await Promise.all(connections.map(work))
    },
    next() {
      const kind = draw()
      const folder = folders[Math.floor(draw() * FOLDERS)]
      if (kind >= UNCHANGED + MISSES) return folder.hit
      if (kind >= MISSES) return folder.unchanged
      misses += 1
      const size = SIZES[misses % SIZES.length]
      return requestBytes(pathOf(`f${size}-new-${misses}`), { authorization: folder.authorization })
    }
  }
}

function answer(connection, request) {
  return new Promise((resolve, reject) => {
    connection.ask(request, (error) => {
      if (error !== undefined) reject(error)
      else if (connection.status !== 200) reject(new Error(`a request of the mix returned ${connection.status}`))
      else resolve()
    })
  })
}
