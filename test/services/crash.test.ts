import { type ChildProcess, fork } from 'node:child_process'
import { createHash, randomBytes, randomInt, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { openDatabase } from '../../src/db/open-database.ts'
import { FakeOAuth } from '../fakes/oauth/fake-oauth.ts'
import { FAKE_BUCKET, FAKE_CREDENTIALS, FakeS3 } from '../fakes/s3/fake-s3.ts'
import { hasApacheDav, startApacheDav } from '../support/dav/apache-dav.ts'
import { ClusterRandom } from '../support/cluster/random.ts'
import { compiledUrl } from '../support/source/compiled.ts'
import type { CrashProcessSettings } from '../support/process/crash-process.ts'
import { isPostgresInstalled, startPostgres } from '../support/database/postgres.ts'
import { startCloud } from '../support/refresh/cloud.ts'
import { RefreshRows } from '../support/refresh/rows.ts'
import { requireService } from '../support/process/services.ts'
import { until } from '../support/time/until.ts'

/** `CRASH_SEED=1234` repeats the random choices of an earlier run, but not its timing. */
const SEED = Number(process.env['CRASH_SEED'] ?? randomInt(2 ** 31))
/**
 * `CRASH_KILLS=1000`: the number of kills. Each interrupts several operations. A kill costs about two seconds of CPU
 * time, half of which is the start of the next process: 40 take about a minute on two quiet cores.
 */
const KILLS = Number(process.env['CRASH_KILLS'] ?? 40)
const MIB = 1024 * 1024
const PROGRAM = fileURLToPath(compiledUrl('test/support/process/crash-process.ts'))
const STAGING = '.fastify-cloud-storage'
/** Unfinished uploads on a WebDAV server. */
const TEMPORARY = /^fastify-cloud-storage-upload-.{36}\.tmp$/

interface Response {
  readonly status: number
  readonly body: string
  readonly headers: Headers
}

/** A running service. */
class Service {
  readonly #child: ChildProcess
  readonly #origin: string
  isKilled = false

  private constructor(child: ChildProcess, origin: string) {
    this.#child = child
    this.#origin = origin
  }

  static async start(settings: CrashProcessSettings): Promise<Service> {
    const child = fork(PROGRAM, [JSON.stringify(settings)], {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc']
    })
    const exited = once(child, 'exit').then(() => {
      throw new Error('The service did not start')
    })
    const [origin] = (await Promise.race([once(child, 'message'), exited])) as [string]
    exited.catch(() => undefined)
    return new Service(child, origin)
  }

  /** Rejects if the process is killed before the response is complete. */
  async ask(method: string, path: string, user: string, body?: Buffer | object, cookie?: string): Promise<Response> {
    const isBytes = Buffer.isBuffer(body)
    const type = isBytes ? 'application/octet-stream' : 'application/json'
    const response = await fetch(this.#origin + path, {
      method,
      redirect: 'manual',
      headers: {
        'x-user': user,
        ...(cookie !== undefined && { cookie }),
        ...(body !== undefined && { 'content-type': type })
      },
      ...(body !== undefined && { body: isBytes ? new Uint8Array(body) : JSON.stringify(body) })
    })
    return { status: response.status, body: await response.text(), headers: response.headers }
  }

  async kill(): Promise<void> {
    this.isKilled = true
    const exited = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exited
  }

  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit')
    this.#child.disconnect()
    await exited
  }
}

const digest = (content: Buffer) => createHash('sha256').update(content).digest('hex')

/** The allowed contents of stored files: the last acknowledged one, or one being uploaded at the time of the kill. */
class Expected {
  readonly #acknowledged = new Map<string, string>()
  readonly #interrupted = new Map<string, string>()

  async upload(name: string, content: Buffer, send: () => Promise<Response>): Promise<void> {
    this.#interrupted.set(name, digest(content))
    const { status, body } = await send()
    if (status >= 300) throw new Error(`An upload was answered with ${status}: ${body}`)
    this.#acknowledged.set(name, digest(content))
    this.#interrupted.delete(name)
  }

  get interrupted(): number {
    return this.#interrupted.size
  }

  /** Compares the content after a restart, which counts as acknowledged from then on. */
  async check(t: Test, what: string, read: (name: string) => Promise<Buffer | undefined>): Promise<void> {
    for (const name of new Set([...this.#acknowledged.keys(), ...this.#interrupted.keys()])) {
      const content = await read(name)
      const found = content && digest(content)
      const allowed = [this.#acknowledged.get(name), this.#interrupted.get(name)]
      if (!allowed.includes(found)) t.fail(`${what} ${name}: neither the acknowledged nor the interrupted content`)
      if (this.#interrupted.has(name) || this.#acknowledged.get(name) === found) {
        if (found !== undefined) this.#acknowledged.set(name, found)
      } else {
        t.fail(`${what} ${name}: acknowledged content is lost`)
      }
      this.#interrupted.delete(name)
    }
  }
}

interface Connected {
  readonly user: string
  readonly provider: 'cloud' | 's3'
  readonly id: string
}

t.test(`processes are killed at random points, CRASH_SEED=${SEED}`, async (t) => {
  if (!requireService(t, 'postgres', isPostgresInstalled) || !requireService(t, 'webdav', hasApacheDav())) return
  const random = new ClusterRandom(SEED)
  const server = await startPostgres(t)
  const url = await server.createDatabase()
  const database = await openDatabase({ url })
  t.teardown(() => database.close())
  const { prisma } = database
  const directory = await mkdtemp(join(tmpdir(), 'crash-store-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const redirectUri = 'http://127.0.0.1:3000/cloud/connections/cloud/callback'
  const oauth = await FakeOAuth.start(t, { rotation: 'single-use', redirectUris: [redirectUri] })
  const fake = await FakeS3.start(t)
  const dav = await startApacheDav(t)
  const { cloud, newFolder } = await startCloud(t, oauth, 'cloud')
  const encryption = { current: 'k1', keys: { k1: randomBytes(32).toString('base64') } }
  const rows = new RefreshRows(prisma, encryption)
  const settings = { url, cloud, encryption, directory }

  const disk = new Expected()
  const objects = new Expected()
  const davFiles = new Expected()
  const connected = new Set<Connected>()
  /** Users that were connecting, and connections that were being removed, at the time of the kill. */
  const connecting = new Map<string, Connected['provider']>()
  const disconnecting = new Set<Connected>()
  const counts = { interrupted: 0, acknowledged: 0, lostGrants: 0, unrevoked: 0, parts: 0, temporary: 0 }
  let users = 0

  const s3Fields = (prefix: string) => ({
    endpoint: fake.endpoint,
    bucket: FAKE_BUCKET,
    prefix,
    accessKeyId: FAKE_CREDENTIALS.accessKeyId,
    secretAccessKey: FAKE_CREDENTIALS.secretAccessKey
  })
  const connectS3 = async (service: Service, user: string) => {
    const { status, body } = await service.ask('POST', '/cloud/connections/s3', user, s3Fields(user))
    if (status !== 201) throw new Error(`Connecting was answered with ${status}: ${body}`)
    return (JSON.parse(body) as { id: string }).id
  }
  const list = (service: Service, { user, provider }: Pick<Connected, 'user' | 'provider'>) =>
    service.ask('GET', `/cloud/${provider}/listing${provider === 's3' ? '' : `?folder=${newFolder()}`}`, user)
  const connectionsOf = async (service: Service, user: string) =>
    (JSON.parse((await service.ask('GET', '/cloud/connections', user)).body) as { connections: { id: string }[] })
      .connections
  const content = (bytes: number) => randomBytes(Math.ceil(bytes))
  let rotating = await rows.add(oauth.issueGrant({ user: { id: 'rotating', email: 'r@example.com', name: 'R' } }), {
    userId: 'rotating'
  })
  let grant = oauth.grants.at(-1)

  /** The operations of a service until it is killed. Each one is repeated. */
  const operations: Readonly<Record<string, (service: Service) => Promise<void>>> = {
    rotate: async (service) => {
      oauth.expireAccessTokens()
      const { status } = await list(service, { user: 'rotating', provider: 'cloud' })
      // Another loop may have expired the new token too.
      if (status === 200 && grant?.refreshToken !== undefined) counts.acknowledged += 1
    },
    disk: async (service) => {
      const name = `file ${Math.floor(random.between(0, 4))}`
      const bytes = content(random.between(1, 2 * MIB))
      await disk.upload(name, bytes, () => service.ask('PUT', `/disk/${encodeURIComponent(name)}`, 'disk', bytes))
    },
    s3: async (service) => {
      const name = `object ${Math.floor(random.between(0, 4))}`
      const bytes = content(random.chance(0.5) ? random.between(1, 100_000) : 9 * MIB)
      const query = new URLSearchParams({ name }).toString()
      await objects.upload(name, bytes, () => service.ask('PUT', `/cloud/s3/content?${query}`, 'uploading', bytes))
    },
    webdav: async (service) => {
      const name = `dav ${Math.floor(random.between(0, 4))}`
      const bytes = content(random.between(1, 2 * MIB))
      const query = new URLSearchParams({ name }).toString()
      await davFiles.upload(name, bytes, () => service.ask('PUT', `/cloud/webdav/content?${query}`, 'dav', bytes))
    },
    connect: async (service) => {
      const user = `user ${(users += 1)}`
      connecting.set(user, 's3')
      connected.add({ user, provider: 's3', id: await connectS3(service, user) })
      connecting.delete(user)
    },
    authorize: async (service) => {
      const user = `user ${(users += 1)}`
      connecting.set(user, 'cloud')
      const begun = await service.ask('POST', '/cloud/connections/cloud/authorize', user, {})
      oauth.signIn({ id: user, email: `${users}@example.com`, name: user })
      const { pathname, search } = await oauth.consent(
        (JSON.parse(begun.body) as { authorizationUrl: string }).authorizationUrl
      )
      const cookie = String(begun.headers.get('set-cookie')).split(';')[0] ?? ''
      const { status, body } = await service.ask('GET', pathname + search, user, undefined, cookie)
      if (status !== 303) throw new Error(`The callback was answered with ${status}: ${body}`)
      const [made] = await connectionsOf(service, user)
      if (made !== undefined) connected.add({ user, provider: 'cloud', id: made.id })
      connecting.delete(user)
    },
    disconnect: async (service) => {
      const [oldest] = connected
      if (oldest === undefined || connected.size < 4) {
        await setTimeout(5)
        return
      }
      connected.delete(oldest)
      disconnecting.add(oldest)
      const { status } = await service.ask('DELETE', `/cloud/connections/${oldest.id}`, oldest.user)
      if (status !== 204) throw new Error(`Disconnecting was answered with ${status}`)
      disconnecting.delete(oldest)
      if ((await connectionsOf(service, oldest.user)).length > 0) throw new Error('A removed connection is listed')
    }
  }
  const repeat = async (service: Service, name: string, operation: (service: Service) => Promise<void>) => {
    const isKilled = () => service.isKilled
    while (!isKilled()) {
      try {
        await operation(service)
        counts.acknowledged += 1
      } catch (error) {
        // The connection to a killed process; any other error is a failure of the service.
        if (!(error instanceof TypeError || isKilled())) t.fail(`${name}: ${String(error)}`)
        if (isKilled()) counts.interrupted += 1
        else await setTimeout(5)
      }
    }
  }

  /** Checks the state of a restarted service: complete, and without half-done operations. */
  const check = async (service: Service) => {
    await disk.check(t, 'the file', (name) => readFile(join(directory, name)).catch(() => undefined))
    await objects.check(t, 'the object', async (name) => fake.store.objects.get(`uploading/${name}`)?.content)
    await davFiles.check(t, 'the file at the WebDAV server', (name) =>
      readFile(join(dav.basicFolder, name)).catch(() => undefined)
    )
    counts.parts += fake.store.uploads.size
    fake.store.uploads.clear()

    const stored = (await rows.tokens(rotating)).refreshToken
    const isStored = stored === grant?.refreshToken && grant?.isAlive === true
    oauth.expireAccessTokens()
    const listed = await list(service, { user: 'rotating', provider: 'cloud' })
    t.equal(listed.status, isStored ? 200 : 503, `a rotated token, ${isStored ? 'stored' : 'lost'}: ${listed.body}`)
    if (!isStored) {
      // The provider had rotated the only token, and its response was not stored: the user must connect again.
      t.match(await rows.read(rotating), { status: 'REQUIRES_REAUTH' })
      counts.lostGrants += 1
      await prisma.cloudConnection.delete({ where: { id: rotating } })
      rotating = await rows.add(oauth.issueGrant({ user: { id: 'rotating', email: 'r@example.com', name: 'R' } }), {
        userId: 'rotating'
      })
      grant = oauth.grants.at(-1)
    }

    for (const connection of connected) {
      const found = await connectionsOf(service, connection.user)
      t.same(
        found.map(({ id }) => id),
        [connection.id],
        `${connection.user} is connected`
      )
    }
    // Unacknowledged operations are done or not done, but never half done.
    for (const [user, provider] of connecting) {
      const found = await connectionsOf(service, user)
      t.ok(found.length <= 1)
      if (found[0] === undefined) continue
      const made = { user, provider, id: found[0].id }
      t.equal((await list(service, made)).status, 200, `${user} can use the connection`)
      connected.add(made)
    }
    connecting.clear()
    for (const connection of disconnecting) {
      const [found] = await connectionsOf(service, connection.user)
      if (found !== undefined) {
        t.equal((await list(service, connection)).status, 200, `${connection.user} is still connected`)
        connected.add(connection)
      } else if (oauth.grants.some(({ user, isAlive }) => user.id === connection.user && isAlive)) {
        counts.unrevoked += 1
      }
    }
    disconnecting.clear()
    await Promise.all(
      [...connected].slice(-3).map(async (connection) => {
        t.equal((await list(service, connection)).status, 200, `${connection.user} lists`)
      })
    )
  }

  let service = await Service.start(settings)
  await connectS3(service, 'uploading')
  const [{ id: uploading } = { id: '' }] = await connectionsOf(service, 'uploading')
  const davFields = { baseUrl: dav.basicUrl, username: dav.username, password: dav.password }
  t.equal((await service.ask('POST', '/cloud/connections/webdav', 'dav', davFields)).status, 201)
  for (let kills = 0; kills < KILLS; kills += 1) {
    const following = Service.start(settings)
    following.catch(() => undefined)
    const current = service
    const work = Object.entries(operations).map(([name, operation]) => repeat(current, name, operation))
    // Sometimes before the first operation is done; otherwise after some operations of each kind.
    await setTimeout(random.between(0, random.chance(0.5) ? 100 : 1000))
    await current.kill()
    await Promise.all(work)
    service = await following
    await check(service)
  }

  await t.test('temporary data of killed processes is removed', async (t) => {
    t.equal((await connectionsOf(service, 'uploading'))[0]?.id, uploading)
    const staging = join(directory, STAGING)
    const left = await readdir(staging)
    for (const name of left) await utimes(join(staging, name), new Date(0), new Date(0))
    t.equal((await service.ask('PUT', '/disk/last', 'disk', Buffer.from('x'))).status, 200)
    t.same(await readdir(staging), [], `${left.length} partial files`)
    t.same(
      (await readdir(directory)).filter((name) => !/^(?:file \d|last)$/.test(name)),
      [STAGING]
    )

    // Simulates a kill between the PUT and the MOVE, in case none of the kills happened at that moment.
    await dav.seed(dav.basicFolder, `fastify-cloud-storage-upload-${randomUUID()}.tmp`, 'part')
    const temporary = async () => (await readdir(dav.basicFolder)).filter((name) => TEMPORARY.test(name))
    const partial = await temporary()
    counts.temporary = partial.length
    for (const name of partial) await utimes(join(dav.basicFolder, name), 86_400, 86_400)
    // A process searches a folder once an hour, and this one already has.
    await service.kill()
    service = await Service.start(settings)
    const listed = await service.ask('GET', '/cloud/webdav/listing', 'dav')
    t.notMatch(listed.body, 'fastify-cloud-storage-upload-')
    t.ok((await service.ask('PUT', '/cloud/webdav/content?name=last', 'dav', Buffer.from('x'))).status < 300)
    await until(async () => (await temporary()).length === 0)
    t.same(
      (await readdir(dav.basicFolder)).filter((name) => !/^(?:dav \d|last)$/.test(name)),
      [],
      `${partial.length} temporary files`
    )

    await prisma.oAuthState.updateMany({ data: { expiresAt: new Date(0) } })
    t.equal((await service.ask('POST', '/cloud/connections/cloud/authorize', 'last', {})).status, 200)
    t.equal(await prisma.oAuthState.count(), 1, 'expired flows')
  })
  await service.stop()
  t.comment(JSON.stringify({ seed: SEED, kills: KILLS, ...counts }))
  t.ok(counts.interrupted >= 3 * KILLS, `${counts.interrupted} operations were interrupted`)
  t.ok(counts.acknowledged > KILLS, `${counts.acknowledged} were acknowledged`)
})
