import { randomBytes, randomUUID } from 'node:crypto'
import { chmod, link, mkdir, open, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Secret } from '../../src/core/secret.ts'
import type { Clock } from '../../src/core/time.ts'
import { errorCodeOf } from '../../src/errors.ts'

/** The secrets that a demo generates once. */
export interface DemoSecrets {
  /** The key that seals credentials: 32 bytes in base64. */
  readonly encryptionKey: string
  /** The key that signs tokens. */
  readonly jwtSecret: string
  /** Seconds since 1970. */
  readonly madeAt: number
}

const SECRETS_FILE = 'secrets.json'
/** The names of all files of a demo, including drafts and locks. */
const DEMO_FILES = /^(?:postgres|postgres\.lock.*|objects|secrets\.json.*)$/

/** The folder with all data of a demo. Only its owner can read it. */
export class DemoFolder {
  readonly path: string
  readonly secrets: Secret<DemoSecrets>

  private constructor(path: string, secrets: Secret<DemoSecrets>) {
    this.path = path
    this.secrets = secrets
  }

  /** @throws Error that names the folder, if it contains other files or cannot be used */
  static async open(path: string, clock: Clock): Promise<DemoFolder> {
    try {
      await mkdir(path, { recursive: true, mode: 0o700 })
      const others = (await readdir(path)).filter((name) => !DEMO_FILES.test(name))
      if (others.length > 0) throw new Error(`it contains other files ("${others[0] ?? ''}")`)
      await chmod(path, 0o700)
      return new DemoFolder(path, new Secret(await loadOrCreateSecrets(join(path, SECRETS_FILE), clock)))
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : 'unknown'
      throw new Error(`DATA_DIR ${path} cannot be used for the demo: ${reason}`, { cause })
    }
  }

  get objects(): string {
    return join(this.path, 'objects')
  }
}

/**
 * Reads the secrets, or creates them. The file appears complete or not at all, by a link that fails if the file
 * exists: two processes that start at the same time use the same secrets.
 */
async function loadOrCreateSecrets(path: string, clock: Clock): Promise<DemoSecrets> {
  const existing = await readSecrets(path)
  if (existing !== null) return existing
  const tempPath = `${path}.${randomUUID()}`
  try {
    await writeNewFile(tempPath, JSON.stringify(createSecrets(clock), null, 2))
    await link(tempPath, path).catch((error: unknown) => {
      if (errorCodeOf(error) !== 'EEXIST') throw error
    })
  } finally {
    await rm(tempPath, { force: true })
  }
  const created = await readSecrets(path)
  if (created === null) throw new Error(`${path} was removed`)
  return created
}

function createSecrets(clock: Clock): DemoSecrets {
  return {
    encryptionKey: randomBytes(32).toString('base64'),
    jwtSecret: randomBytes(48).toString('base64url'),
    madeAt: Math.floor(clock.date() / 1000)
  }
}

async function writeNewFile(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(`${text}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function readSecrets(path: string): Promise<DemoSecrets | null> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return null
    throw error
  }
  await chmod(path, 0o600)
  const secrets = parseSecrets(text)
  if (secrets === null) throw new Error(`${path} is damaged. Remove it, and the demo creates new secrets`)
  return secrets
}

function parseSecrets(text: string): DemoSecrets | null {
  try {
    const { encryptionKey, jwtSecret, madeAt } = JSON.parse(text) as Record<keyof DemoSecrets, unknown>
    if (typeof encryptionKey !== 'string' || typeof jwtSecret !== 'string' || !Number.isSafeInteger(madeAt)) return null
    return { encryptionKey, jwtSecret, madeAt: madeAt as number }
  } catch {
    return null
  }
}
