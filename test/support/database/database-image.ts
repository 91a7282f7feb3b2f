import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { openEmbedded } from '../../../src/db/pglite.ts'
import { migrate } from '../../../src/db/migrate.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const MIGRATIONS = join(ROOT, 'prisma/migrations')
const CACHE = join(ROOT, 'node_modules/.cache/fastify-cloud-storage')

let image: Promise<Blob> | undefined

/** Returns the image of a migrated database, decompressed once instead of for each test. */
export async function migratedImage(): Promise<Blob> {
  image ??= cachedImage().then((packed) => new Blob([gunzipSync(packed)]))
  return image
}

/**
 * Creates the image once per state of the migrations, because creating a database takes seconds of CPU time. Test
 * files run in parallel, so the file is written atomically.
 */
async function cachedImage(): Promise<Uint8Array> {
  const path = join(CACHE, `${await imageKey()}.tar.gz`)
  const cached = await readFile(path).catch(() => undefined)
  if (cached !== undefined) return cached
  const built = await makeImage()
  await mkdir(CACHE, { recursive: true })
  const temporaryPath = `${path}.${randomUUID()}`
  await writeFile(temporaryPath, built)
  await rename(temporaryPath, path)
  return built
}

async function makeImage(): Promise<Uint8Array> {
  const database = await openEmbedded()
  const client = await database.connect()
  await migrate(client)
  await client.end()
  const image = await database.dump()
  await database.close()
  return new Uint8Array(await image.arrayBuffer())
}

async function imageKey(): Promise<string> {
  const hash = createHash('sha256')
  const scripts = (await readdir(MIGRATIONS, { recursive: true })).filter((name) => name.endsWith('.sql')).sort()
  const files = [
    join(ROOT, 'node_modules/@electric-sql/pglite/package.json'),
    ...scripts.map((name) => join(MIGRATIONS, name))
  ]
  for (const file of files)
    hash
      .update(file.slice(ROOT.length))
      .update('\0')
      .update(await readFile(file))
      .update('\0')
  return hash.digest('hex').slice(0, 32)
}
