import { Presets, SingleBar } from 'cli-progress'
import { readRotationConfig } from './config.ts'
import { isStorageError } from '../src/errors.ts'
import { openDatabase } from '../src/db/open-database.ts'
import { rotateKeys, type RotationSummary } from '../src/rotate-keys.ts'
import { ConfigError } from './env.ts'
import { redactSecrets } from './logging.ts'
import { readArguments } from './run.ts'

const HELP = `
Usage: npm run rotate-keys      (in the image: node server/rotate-keys.js)

Encrypts all stored credentials with the key that ENCRYPTION_CURRENT_KEY names. The server may run meanwhile. After an
interruption, run it again. The exit code is 0 if no other key is needed any more.

Environment: DATABASE_URL, DATABASE_DIRECT_URL, ENCRYPTION_KEYS, ENCRYPTION_CURRENT_KEY, as in .env.example.
`

/** Encrypts all stored credentials with ENCRYPTION_CURRENT_KEY. Exits with 0 if no other key is needed any more. */
async function main(): Promise<number> {
  readArguments(HELP)
  const { databaseUrl, databaseDirectUrl, encryption } = readRotationConfig(process.env)
  const controller = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      controller.abort()
    })
  }
  // Only the server migrates its tables: a rotation changes as little as possible.
  const database = await openDatabase({
    url: databaseUrl.reveal(),
    directUrl: databaseDirectUrl?.reveal(),
    migrate: false
  })
  const bar = new SingleBar(
    { format: 're-encrypting [{bar}] {value}/{total} · {eta_formatted} left', noTTYOutput: true, notTTYSchedule: 1000 },
    Presets.legacy
  )
  const barState = { isShown: false }
  try {
    const summary = await rotateKeys({
      prisma: database.prisma,
      encryption: encryption.reveal(),
      signal: controller.signal,
      onProgress: ({ done, total }) => {
        if (!barState.isShown) bar.start(total, 0)
        barState.isShown = true
        bar.update(done)
      }
    })
    if (barState.isShown) bar.stop()
    process.stdout.write(formatSummary(summary, encryption.reveal().current))
    return summary.left === 0 && summary.unreadable.length === 0 ? 0 : 1
  } finally {
    bar.stop()
    await database.close()
  }
}

function formatSummary({ resealed, unreadable, left }: RotationSummary, current: string): string {
  const lines = [`${String(resealed)} connections were re-encrypted with the key "${current}".`]
  if (left > 0) lines.push(`${String(left)} are still encrypted with an older key. Run this program again.`)
  if (unreadable.length > 0) {
    lines.push(
      `${String(unreadable.length)} cannot be decrypted with any key of ENCRYPTION_KEYS. Add the missing key, or ` +
        'ask the users to connect again:',
      ...unreadable.map((id) => `  ${id}`)
    )
  }
  if (left === 0 && unreadable.length === 0) lines.push('No other key is needed for stored credentials any more.')
  return `${lines.join('\n')}\n`
}

main().then(
  (code) => {
    process.exitCode = code
  },
  (error: unknown) => {
    const message = isStorageError(error, 'DATABASE_UNAVAILABLE')
      ? 'The database in DATABASE_URL is unavailable.'
      : error instanceof Error
        ? error.message
        : String(error)
    // A `ConfigError` contains no secret, and its example URLs must stay readable.
    const safe = error instanceof ConfigError ? message : redactSecrets(message)
    process.stderr.write(`rotate-keys failed. ${safe}\n`)
    process.exitCode = 1
  }
)
