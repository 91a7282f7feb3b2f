import { spawn } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import t, { type Test } from 'tap'
import { Secret } from '../../src/core/secret.ts'
import { createCredentialCipher } from '../../src/crypto/credentials.ts'
import { createKeyRing } from '../../src/crypto/key-ring.ts'
import { openDatabase } from '../../src/db/open-database.ts'
import { compiledUrl } from '../support/source/compiled.ts'
import { isPostgresInstalled, startPostgres } from '../support/database/postgres.ts'
import { requireService } from '../support/process/services.ts'
import { until } from '../support/time/until.ts'

const ROWS = 10_000
const keys = { k1: randomBytes(32).toString('base64'), k2: randomBytes(32).toString('base64') }
const PROGRAM = fileURLToPath(compiledUrl('server/rotate-keys.ts'))

const bindingOf = (userId: string, id: string) => ({ userId, id, provider: 's3' })

function startRotation(url: string, env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [PROGRAM], {
    env: {
      ...process.env,
      DATABASE_URL: url,
      ENCRYPTION_KEYS: `k1:${keys.k1},k2:${keys.k2}`,
      ENCRYPTION_CURRENT_KEY: 'k2',
      ...env
    },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const ended = once(child, 'close').then(([code, signal]: unknown[]) => ({ code, signal, output }))
  return { child, ended }
}

async function seed(t: Test, url: string): Promise<pg.Client> {
  await (await openDatabase({ url })).close()
  const client = new pg.Client(url)
  await client.connect()
  t.teardown(() => client.end())
  const cipher = createCredentialCipher(createKeyRing({ current: 'k1', keys: { k1: keys.k1 } }))
  const ids = Array.from({ length: ROWS }, () => randomUUID())
  await client.query(
    `INSERT INTO cloud_connections (id, user_id, provider, account_id, label, credentials, updated_at)
     SELECT id, user_id, 's3', 'a', 'l', credentials, now()
     FROM unnest($1::text[], $2::text[], $3::text[]) AS row(id, user_id, credentials)`,
    [
      ids,
      ids.map((_id, index) => `user ${String(index)}`),
      ids.map((id, index) => cipher.seal(new Secret({ secret: index }), bindingOf(`user ${String(index)}`, id)))
    ]
  )
  return client
}

t.test('rotate-keys on a PostgreSQL server', async (t) => {
  if (!requireService(t, 'postgres', isPostgresInstalled)) return
  const server = await startPostgres(t)

  await t.test('a process that is killed after half of 10,000 rows finishes after a restart', async (t) => {
    const url = await server.createDatabase()
    const client = await seed(t, url)
    const renewed = async (): Promise<number> => {
      const text = `SELECT count(*)::int AS count FROM cloud_connections WHERE starts_with(credentials, 'v1.k2.')`
      return (await client.query<{ count: number }>(text)).rows[0]?.count ?? 0
    }
    // A lock on a row in the middle keeps the rotation running until it is killed.
    const holder = new pg.Client(url)
    await holder.connect()
    await holder.query('BEGIN')
    await holder.query(
      `SELECT id FROM cloud_connections
       WHERE id = (SELECT id FROM cloud_connections ORDER BY id OFFSET $1 LIMIT 1) FOR UPDATE`,
      [ROWS / 2]
    )

    const first = startRotation(url)
    await until(async () => (await renewed()) >= ROWS / 2 - 200)
    first.child.kill('SIGKILL')
    t.match(await first.ended, { signal: 'SIGKILL' })
    await holder.query('ROLLBACK')
    await holder.end()
    const halfway = await renewed()
    t.ok(halfway > 0 && halfway < ROWS, `${String(halfway)} rows are under the new key`)

    const second = await startRotation(url).ended
    t.equal(second.code, 0, second.output)
    t.match(second.output, `${String(ROWS - halfway)} connections were re-encrypted with the key "k2"`)
    t.match(second.output, 'No other key is needed')
    for (const secret of [keys.k1, keys.k2, new URL(url).password]) t.notMatch(second.output, secret)

    const onlyNew = createCredentialCipher(createKeyRing({ current: 'k2', keys: { k2: keys.k2 } }))
    const { rows } = await client.query<{ id: string; user_id: string; credentials: string }>(
      'SELECT id, user_id, credentials FROM cloud_connections'
    )
    const secrets = rows.map(({ id, user_id: userId, credentials }) => {
      const { secret } = onlyNew.open(credentials, bindingOf(userId, id)).reveal() as { secret: number }
      return `user ${String(secret)}` === userId
    })
    t.equal(secrets.length, ROWS)
    t.ok(secrets.every(Boolean), 'each row has its credentials')
    const versions = await client.query('SELECT DISTINCT version, credentials_revision FROM cloud_connections')
    t.same(versions.rows, [{ version: 1, credentials_revision: 2 }], 'each row was written once')
  })

  await t.test('a row that no key opens makes the exit code 1 and is named by its connection', async (t) => {
    const url = await server.createDatabase()
    const client = await seed(t, url)
    await client.query('DELETE FROM cloud_connections WHERE id <> (SELECT min(id) FROM cloud_connections)')
    const { rows } = await client.query<{ id: string }>(`
      UPDATE cloud_connections SET credentials = 'v1.k0.AAAA' RETURNING id`)
    const { code, output } = await startRotation(url).ended
    t.equal(code, 1)
    t.match(output, rows[0]?.id)
    t.match(output, 'cannot be decrypted')
  })

  await t.test('missing variables are listed, without secrets', async (t) => {
    const { code, output } = await startRotation('', { ENCRYPTION_CURRENT_KEY: '' }).ended
    t.equal(code, 1)
    t.match(output, /DATABASE_URL is missing/)
    t.match(output, /ENCRYPTION_CURRENT_KEY is missing/)
    t.notMatch(output, keys.k1)
  })
})
