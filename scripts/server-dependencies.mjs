// Makes the imports of the ready-made server dependencies of the package, in package.json and package-lock.json, so
// that `npm prune --omit=dev` leaves them installed, in their locked versions. For the image only: hosts of the
// plugin install these packages themselves, or do not need them.
import { readArguments } from './arguments.mjs'
import { readFileSync, writeFileSync } from 'node:fs'

export const SERVER_DEPENDENCIES = [
  '@aws-sdk/client-s3',
  '@aws-sdk/lib-storage',
  '@aws-sdk/s3-request-presigner',
  '@fastify/cors',
  '@fastify/jwt',
  '@fastify/swagger',
  '@fastify/swagger-ui',
  '@opentelemetry/api',
  'cli-progress',
  'close-with-grace',
  'fastify',
  'googleapis',
  'ioredis',
  'prom-client'
]

/** Changes the manifest or the lock's copy of it. If the two differed, npm would resolve versions again. */
function move(manifest) {
  for (const name of SERVER_DEPENDENCIES) {
    const range = manifest.devDependencies[name]
    if (range === undefined) throw new Error(`${name} is not among the devDependencies`)
    manifest.dependencies[name] = range
  }
  for (const section of ['devDependencies', 'peerDependencies', 'peerDependenciesMeta']) {
    const others = Object.entries(manifest[section] ?? {}).filter(([name]) => !SERVER_DEPENDENCIES.includes(name))
    manifest[section] = Object.fromEntries(others)
  }
}

function rewrite(path, change) {
  const value = JSON.parse(readFileSync(path, 'utf8'))
  change(value)
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`)
}

if (process.argv[1] === import.meta.filename) {
  readArguments(
    'Usage: node scripts/server-dependencies.mjs\n\nFor the image: adds the imports of the server to the dependencies.'
  )
  rewrite('package.json', move)
  rewrite('package-lock.json', ({ packages }) => move(packages['']))
}
