import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import type { Entry } from '../../src/core/entry.ts'
import { provider as nextcloud } from '../../src/providers/nextcloud/index.ts'
import { backendContract } from '../contract/backend.ts'
import type { Harness } from '../contract/harness.ts'
import { openWebdav } from '../contract/harness/webdav.ts'
import { callOptions, find, listAll, requireMethod, escapeName } from '../contract/suite/arrange.ts'
import { chunkedStream, upload } from '../contract/suite/uploads.ts'
import { hasApacheDav, startApacheDav } from '../support/dav/apache-dav.ts'
import { openEgress } from '../support/backend/egress.ts'
import { hasRclone, rclone, type RcloneRemote } from '../support/dav/rclone.ts'
import {
  type Responder,
  connectTo,
  harnessOf,
  withConnectionLayers,
  newTestFolder,
  type RealDav
} from '../support/dav/real-dav.ts'
import { digest } from '../support/app/read-body.ts'
import { hasSabre, type SabreOptions, startSabre } from '../support/dav/sabre.ts'
import { requireService } from '../support/process/services.ts'
import { TEST_TIMEOUTS } from '../support/time/timeouts.ts'

const MANY = 2000

async function sabre(
  t: Test,
  scheme: 'Basic' | 'Bearer',
  { basePath = '/', hasUploads = false }: Pick<SabreOptions, 'basePath' | 'hasUploads'> = {}
): Promise<RealDav> {
  const running = await startSabre(t, { auth: scheme === 'Basic' ? 'basic' : 'bearer', basePath, hasUploads })
  const { url, folder, username, password, token } = running
  return {
    name: `sabre with ${scheme} at ${basePath}`,
    url,
    folder,
    fields: scheme === 'Basic' ? { username, password } : { token },
    scheme,
    put: async (path, content) => {
      await mkdir(dirname(join(folder, path)), { recursive: true })
      await writeFile(join(folder, path), content)
    }
  }
}

/** Returns the two folders of one Apache: behind Basic, and behind Digest. */
async function apache(t: Test): Promise<[basic: RealDav, digest: RealDav]> {
  const running = await startApacheDav(t)
  const { basicUrl, basicFolder, digestUrl, digestFolder, username, password } = running
  const behind = (scheme: 'Basic' | 'Digest', url: string, folder: string): RealDav => ({
    name: `Apache mod_dav with ${scheme}`,
    url,
    folder,
    fields: { username, password },
    scheme,
    put: (path, content) => running.seed(folder, path, content)
  })
  return [behind('Basic', basicUrl, basicFolder), behind('Digest', digestUrl, digestFolder)]
}

if (requireService(t, 'webdav', hasSabre() && hasApacheDav())) {
  const sabreBasic = await sabre(t, 'Basic')
  const [apacheBasic, apacheDigest] = await apache(t)
  const servers = [
    sabreBasic,
    await sabre(t, 'Bearer'),
    await sabre(t, 'Basic', { basePath: '/remote.php/dav/files/u/' }),
    apacheBasic,
    apacheDigest
  ]

  for (const server of servers) {
    t.test(`the contract holds at ${server.name}`, async (t) => {
      backendContract(t, harnessOf(server))
    })

    t.test(`${server.name} is accessed with its own scheme, and detected to replace files by MOVE`, async (t) => {
      const place = await newTestFolder(t, server)
      const { proxy: front } = place
      const backend = await connectTo(t, server, place)
      // sabre 1.8 ignores the ETag in an `If` header.
      const updateIfMatch = server.name.startsWith('sabre') ? 'emulated' : 'native'
      t.match(backend.capabilities, { createOnly: 'native', updateIfMatch, atomicReplace: 'emulated' })
      await backend.account(callOptions())
      t.equal(front.requests.at(-1)?.scheme, server.scheme)
      const others = front.requests.filter(({ scheme }) => scheme !== undefined && scheme !== server.scheme)
      t.same(others, [], 'no request uses another scheme')
    })
  }

  for (const server of [sabreBasic, apacheDigest]) {
    t.test(`the contract holds through all layers at ${server.name}`, async (t) => {
      backendContract(t, harnessOf(server), { wrap: withConnectionLayers })
    })
  }

  for (const server of [sabreBasic, apacheBasic]) {
    t.test(`${MANY} children at ${server.name} are paged from one response`, async (t) => {
      const { proxy: front, url, seed } = await newTestFolder(t, server)
      const names = Array.from({ length: MANY }, (_, index) => `child ${index}${index % 10 === 0 ? '/' : ''}`)
      await seed(Object.fromEntries(names.map((name) => [`many/${name}`, name])))
      const backend = await openWebdav(t, { baseUrl: url, ...server.fields })
      front.requests.length = 0
      const entries: Entry[] = []
      let pages = 0
      for (let cursor: string | null | undefined; cursor !== null; pages++) {
        const page = await backend.listFolder('many/', { ...callOptions(), limit: 200, ...(cursor && { cursor }) })
        entries.push(...page.entries)
        cursor = page.next
      }
      t.equal(pages, MANY / 200)
      t.same(entries.map(({ id }) => id).sort(), names.map((name) => `many/${name}`).sort())
      t.same(
        front.requests.map(({ method }) => method),
        ['PROPFIND']
      )
    })

    t.test(`files that we and rclone store at ${server.name} are the same for both`, async (t) => {
      if (requireService(t, 'rclone', hasRclone())) await exchangeWithRclone(t, server)
    })
  }

  t.test('the contract of nextcloud', async (t) => {
    // Each user has a folder, as in Nextcloud.
    const files = await sabre(t, 'Basic', { basePath: '/remote.php/dav/', hasUploads: true })
    // sabre/dav does not pass the ETag of a file on to the folders above it.
    const harness: Harness = { name: 'nextcloud over sabre', open: async (t) => openNextcloud(t, files) }
    backendContract(t, harness, { hasChanges: false })
  })
}

/** sabre serves Nextcloud's files. The OCS account lookup is answered here. */
async function openNextcloud(t: Test, files: RealDav): ReturnType<Harness['open']> {
  const account = files.fields as { username: string; password: string }
  const proof = `Basic ${Buffer.from(`${account.username}:${account.password}`).toString('base64')}`
  const answerOcs: Responder = ({ url, headers }, response) => {
    if (url !== '/ocs/v2.php/cloud/user?format=json') return false
    const isAllowed = headers.authorization === proof && headers['ocs-apirequest'] === 'true'
    const data = { id: uid, displayname: 'U. Ser', email: null, quota: { used: 1, total: 2 } }
    response.writeHead(isAllowed ? 200 : 401, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ ocs: { data: isAllowed ? data : [] } }))
    return true
  }
  const { name: uid, proxy: front, seed } = await newTestFolder(t, files, answerOcs)
  const egress = openEgress()
  t.teardown(() => egress.close())
  const context = { egress, timeouts: TEST_TIMEOUTS }
  const typed = nextcloud.connect.parse({ ...account, baseUrl: new URL('/', front.urlOf(files.url)).href })
  const completed = await nextcloud.connect.complete?.(typed, { ...context, ...callOptions() })
  const { credentials } = completed ?? typed
  return {
    normalizesNames: true,
    exceptions: { coversNothing: 'sabre does not report the kinds of mounts' },
    backend: await nextcloud.open({ ...context, credentials }),
    seed,
    busy: () => front.busy(),
    missing: { folder: 'no such folder/', file: 'no such file' }
  }
}

const MIB = 1024 * 1024
const SIZES = [0, 1, 5 * MIB + 1]
const NAMES = [
  'with  spaces',
  '#hash',
  '100% and %41 and %2F',
  'caf\u00e9 composed',
  'cafe\u0301 decomposed',
  'na\u00efve',
  // Looks the same, and is the same after normalization.
  'nai\u0308ve',
  '\u{1f4be} emoji \u{1f469}\u200d\u{1f680}'
]

async function exchangeWithRclone(t: Test, server: RealDav): Promise<void> {
  const { url, directUrl: direct } = await newTestFolder(t, server)
  const backend = await openWebdav(t, { baseUrl: url, ...server.fields })
  const remote = { url: direct, ...server.fields } as RcloneRemote
  const local = await mkdtemp(join(tmpdir(), 'exchanged-'))
  t.teardown(() => rm(local, { recursive: true }))
  const create = requireMethod(backend.createFolder?.bind(backend))
  // Otherwise rclone would treat names that differ in their normalization as one.
  const copy = (from: string, to: string) => rclone(['copy', '--no-unicode-normalization', from, to], remote)

  const ours = await create(null, 'ours # 1', callOptions())
  const written = new Map<string, string>()
  for (const [name, content] of contents()) {
    await upload(backend, { parentId: ours.id, name }, chunkedStream(content))
    written.set(name, sha256(content))
  }
  await copy('remote:ours # 1', join(local, 'ours'))
  const copied = await readdir(join(local, 'ours'))
  t.same(copied.sort(), [...written.keys()].sort(), 'rclone lists the names that we stored')
  for (const name of copied) {
    t.equal(sha256(await readFile(join(local, 'ours', name))), written.get(name), `rclone: ${escapeName(name)}`)
  }

  await mkdir(join(local, 'theirs'))
  const stored = contents()
  for (const [name, content] of stored) await writeFile(join(local, 'theirs', name), content)
  await copy(join(local, 'theirs'), 'remote:theirs % 1')
  const listed = await listAll(backend, (await find(backend, 'theirs % 1')).id)
  t.same(listed.map(({ name }) => name).sort(), [...stored.keys()].sort(), 'we list the names that rclone stored')
  for (const { id, name, size } of listed) {
    const content = stored.get(name) ?? Buffer.from('no such name')
    t.equal(size, content.length, `its size: ${escapeName(name)}`)
    t.equal(
      await digest((await backend.download(id, callOptions())).body),
      sha256(content),
      `ours: ${escapeName(name)}`
    )
  }
}

function contents(): Map<string, Buffer> {
  return new Map(NAMES.flatMap((name) => SIZES.map((size) => [`${name} ${size}`, randomBytes(size)] as const)))
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}
