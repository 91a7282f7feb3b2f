import { execFileSync } from 'node:child_process'
import { constants } from 'node:fs'
import {
  chmod,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import { isStorageError } from '../../src/errors.ts'
import { toStorageError } from '../../src/providers/disk/errors.ts'
import { openManaged } from '../../src/providers/disk/index.ts'
import { SmallestNames } from '../../src/providers/disk/list.ts'
import { Locks } from '../../src/providers/disk/session.ts'
import { backendContract } from '../contract/backend.ts'
import { harness } from '../contract/harness/disk.ts'
import { callOptions, listAll, rejectsWith } from '../contract/suite/arrange.ts'
import { singleCreatorWins } from '../contract/suite/replaces-with-conditions.ts'
import { upload } from '../contract/suite/uploads.ts'
import { readBody } from '../support/app/read-body.ts'
import { TEST_TIMEOUTS } from '../support/time/timeouts.ts'
import { until } from '../support/time/until.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

t.test('the contract', async (t) => {
  backendContract(t, harness)
  singleCreatorWins(t, harness.open)
})

async function temporary(t: Test): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'disk-test-')))
  t.teardown(() => rm(folder, { recursive: true }))
  return folder
}

const openStore = (directory: string) => openManaged({ type: 'disk', directory }, { timeouts: TEST_TIMEOUTS })

/** A store with symbolic links to a file and a folder outside of it. */
async function storeWithLinks(t: Test) {
  const base = await temporary(t)
  const directory = join(base, 'store')
  const outside = join(base, 'outside')
  await mkdir(join(directory, 'folder'), { recursive: true })
  await mkdir(join(outside, 'inner'), { recursive: true })
  await writeFile(join(outside, 'secret.txt'), 'secret')
  await writeFile(join(directory, 'plain.txt'), 'plain')
  await symlink(join(outside, 'secret.txt'), join(directory, 'file-link'))
  await symlink(outside, join(directory, 'folder-link'))
  await symlink(join(directory, 'folder'), join(directory, 'inner-link'))
  await symlink(join(base, 'nowhere'), join(directory, 'dangling'))
  return { directory, outside, backend: await openStore(directory) }
}

t.test('symbolic links are not listed', async (t) => {
  const { backend } = await storeWithLinks(t)
  t.same(
    (await listAll(backend, null)).map(({ id }) => id),
    ['folder/', 'plain.txt']
  )
})

t.test('symbolic links are never followed', async (t) => {
  const { backend, outside } = await storeWithLinks(t)
  for (const id of ['file-link', 'dangling', 'folder-link/secret.txt', 'inner-link/x.txt']) {
    await rejectsWith(t, backend.stat(id, callOptions()), 'OBJECT_NOT_FOUND', `stat ${id}`)
    await rejectsWith(t, backend.download(id, callOptions()), 'OBJECT_NOT_FOUND', `download ${id}`)
    await backend.remove?.(id, callOptions())
  }
  for (const id of ['folder-link/', 'inner-link/', 'folder-link/inner/', 'file-link/']) {
    await rejectsWith(t, backend.stat(id, callOptions()), 'OBJECT_NOT_FOUND', `stat ${id}`)
    await rejectsWith(t, listAll(backend, id), 'FOLDER_NOT_FOUND', `list ${id}`)
    await rejectsWith(t, upload(backend, { id: `${id}new.txt` }, Readable.from(['x'])), 'FOLDER_NOT_FOUND', `to ${id}`)
    const named = upload(backend, { parentId: id, name: 'new.txt' }, Readable.from(['x']))
    await rejectsWith(t, named, 'FOLDER_NOT_FOUND', `upload by name into ${id}`)
    await rejectsWith(t, backend.createFolder?.(id, 'new', callOptions()) ?? Promise.resolve(), 'FOLDER_NOT_FOUND')
  }
  const deep = upload(backend, { id: 'folder-link/new/deep.txt' }, Readable.from(['x']))
  await rejectsWith(t, deep, 'FOLDER_NOT_FOUND', 'no folder is created behind a link')
  await rejectsWith(t, upload(backend, { id: 'file-link' }, Readable.from(['x'])), 'ALREADY_EXISTS')
  t.same((await readdir(outside)).sort(), ['inner', 'secret.txt'])
  t.equal(await readFile(join(outside, 'secret.txt'), 'utf8'), 'secret')
})

t.test('the root folder of the store may be a link', async (t) => {
  const base = await temporary(t)
  await mkdir(join(base, 'real'))
  await symlink(join(base, 'real'), join(base, 'link'))
  const backend = await openStore(join(base, 'link'))
  await upload(backend, { id: 'a/b.txt' }, Readable.from(['b']))
  t.equal(await readFile(join(base, 'real', 'a', 'b.txt'), 'utf8'), 'b')
})

t.test('ids that are not paths inside the store are refused', async (t) => {
  const base = await temporary(t)
  const directory = join(base, 'below', 'the', 'store')
  const backend = await openStore(directory)
  await mkdir(join(directory, 'a'))
  const hostile = [
    join(base, 'outside.txt'),
    'a//b',
    'a\\b',
    '..\\outside',
    '\\\\server\\share',
    '.fastify-cloud-storage/x'
  ]
  for (const id of [...hostile, '.Fastify-Cloud-Storage', 'x'.repeat(256), `a/${'\u00fc'.repeat(128)}`]) {
    await rejectsWith(t, backend.stat(id, callOptions()), 'INVALID_REQUEST', id.slice(0, 30))
    await rejectsWith(t, backend.download(id, callOptions()), 'INVALID_REQUEST', id.slice(0, 30))
    await rejectsWith(t, backend.stat(`${id}/`, callOptions()), 'INVALID_REQUEST', id.slice(0, 30))
    await rejectsWith(t, upload(backend, { id }, Readable.from(['x'])), 'INVALID_REQUEST', id.slice(0, 30))
  }
  t.same((await readdir(directory)).sort(), ['.fastify-cloud-storage', 'a'])
})

t.test('an item that is neither a file nor a folder is not found', async (t) => {
  const directory = await temporary(t)
  const backend = await openStore(directory)
  execFileSync('mkfifo', [join(directory, 'pipe')])
  await writeFile(Buffer.concat([Buffer.from(`${directory}/no utf-8 `), Buffer.from([0xff])]), 'x')
  await writeFile(join(directory, 'back\\slash'), 'x')
  t.same(
    (await listAll(backend, null)).map(({ name, can }) => [name, can.download]),
    [['back\\slash', false]]
  )
  await rejectsWith(t, backend.stat('pipe', callOptions()), 'OBJECT_NOT_FOUND')
  await rejectsWith(t, backend.download('pipe', callOptions()), 'OBJECT_NOT_FOUND', 'opening it does not block')
})

t.test('files and folders of the store are readable for their owner only', async (t) => {
  const base = await temporary(t)
  const directory = join(base, 'deep', 'store')
  const backend = await openStore(directory)
  await upload(backend, { id: 'made/by key/file' }, Readable.from(['x']))
  await backend.createFolder?.(null, 'folder', callOptions())
  const mode = async (...path: string[]) => ((await stat(join(directory, ...path))).mode & 0o777).toString(8)
  for (const path of ['.', 'made', 'made/by key', 'folder', '.fastify-cloud-storage'])
    t.equal(await mode(path), '700', path)
  t.equal(await mode('made', 'by key', 'file'), '600')
  const shared = join(base, 'shared')
  await mkdir(shared)
  await chmod(shared, 0o750)
  await openStore(shared)
  t.equal(((await stat(shared)).mode & 0o777).toString(8), '750', "the operator's own folder is unchanged")
})

t.test('an upload becomes visible as a whole and leaves no temporary files', async (t) => {
  const directory = await temporary(t)
  const backend = await openStore(directory)
  const staging = join(directory, '.fastify-cloud-storage')
  await writeFile(join(directory, 'a'), 'old')
  const growing = new Readable({ read() {} })
  growing.push('ne')
  const work = upload(backend, { id: 'a' }, growing)
  await until(async () => {
    const [name] = await readdir(staging)
    return name !== undefined && (await stat(join(staging, name))).size === 2
  })
  t.equal(await readFile(join(directory, 'a'), 'utf8'), 'old', 'the old content is visible until the upload has ended')
  growing.push('w')
  growing.push(null)
  await work
  t.equal(await readFile(join(directory, 'a'), 'utf8'), 'new')
  t.same(await readdir(staging), [])

  await upload(backend, { id: 'a' }, Readable.from(['x']), { size: 2 }).catch(() => {})
  await upload(backend, { id: 'a' }, Readable.from(['x']), { ifNoneMatch: '*' }).catch(() => {})
  await upload(backend, { id: 'never made/a' }, Readable.from(['x']), { size: 2 }).catch(() => {})
  t.same(await readdir(staging), [], 'a failed upload leaves no temporary file')
  t.same((await readdir(directory)).sort(), ['.fastify-cloud-storage', 'a'], 'a failed upload leaves no folders')
})

t.test(
  'temporary files of ended processes are removed on opening and later, those of running uploads are not',
  async (t) => {
    const directory = await temporary(t)
    const staging = join(directory, '.fastify-cloud-storage')
    await mkdir(staging)
    await writeFile(join(staging, 'left behind'), 'x')
    await writeFile(join(staging, 'running'), 'x')
    const longAgo = new Date(Date.now() - 2 * 3_600_000)
    await utimes(join(staging, 'left behind'), longAgo, longAgo)
    const store = await openStore(directory)
    t.same(await readdir(staging), ['running'])

    // To a process that starts right after a crash, the leftovers are too young.
    await utimes(join(staging, 'running'), longAgo, longAgo)
    await writeFile(join(staging, 'another'), 'x')
    await upload(store, { id: 'a' }, Readable.from(['x']))
    t.same(await readdir(staging), ['another'], 'a later upload removes it')
  }
)

t.test('of many concurrent updates of one version exactly one succeeds', async (t) => {
  const directory = await temporary(t)
  const backend = await openStore(directory)
  const { version } = await upload(backend, { id: 'a' }, Readable.from(['first']))
  const outcomes = await Promise.all(
    Array.from({ length: 8 }, (_, index) =>
      upload(backend, { id: 'a' }, Readable.from([`writer ${index}`]), { ifMatch: version ?? '' }).then(
        () => `writer ${index}`,
        (error: unknown) => (isStorageError(error, 'PRECONDITION_FAILED') ? null : Promise.reject(error as Error))
      )
    )
  )
  const winners = outcomes.filter((outcome) => outcome !== null)
  t.equal(winners.length, 1)
  t.equal(await readFile(join(directory, 'a'), 'utf8'), winners[0])
})

t.test('of many create-only uploads through two instances of a store exactly one succeeds', async (t) => {
  const directory = await temporary(t)
  const stores = [await openStore(directory), await openStore(directory)]
  for (let round = 0; round < 10; round++) {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) =>
        upload(stores[index % 2]!, { id: String(round) }, Readable.from([`writer ${index}`]), { ifNoneMatch: '*' })
      )
    )
    const failures = outcomes.filter((outcome) => outcome.status === 'rejected')
    t.equal(failures.length, 7)
    for (const { reason } of failures) t.ok(isStorageError(reason, 'ALREADY_EXISTS'))
  }
})

t.test('operations on one name run sequentially, on two names concurrently', async (t) => {
  const locks = new Locks()
  const running = new Map<string, number>()
  let most = 0
  const work = (name: string) =>
    locks.run(name, async () => {
      running.set(name, (running.get(name) ?? 0) + 1)
      t.equal(running.get(name), 1)
      most = Math.max(most, running.size)
      await turn()
      running.delete(name)
    })
  const first = ['a', 'a', 'b'].map(work)
  await first[0]
  await Promise.all([...first, work('a'), work('b')])
  t.equal(most, 2)
  const failing = locks.run('a', () => Promise.reject(new Error('failed')))
  await Promise.all([t.rejects(failing, { message: 'failed' }), work('a')])
})

t.test('an upload that cannot succeed fails before its body is read', async (t) => {
  const { backend, seed } = await harness.open(t)
  await seed({ 'a.txt': 'a' })
  const silent = () => new Readable({ read() {} })
  await rejectsWith(t, upload(backend, { id: 'a.txt' }, silent(), { ifNoneMatch: '*' }), 'ALREADY_EXISTS')
  await rejectsWith(t, upload(backend, { id: 'a.txt' }, silent(), { ifMatch: 'old' }), 'PRECONDITION_FAILED')
  await rejectsWith(t, upload(backend, { parentId: 'missing/', name: 'a' }, silent()), 'FOLDER_NOT_FOUND')
})

t.test('a failed download closes its file', async (t) => {
  const { backend, seed, busy } = await harness.open(t)
  await seed({ 'a.txt': 'a' })
  await rejectsWith(t, backend.download('a.txt', { ...callOptions(), range: { start: 1 } }), 'RANGE_NOT_SATISFIABLE')
  t.equal(await busy(), 0)
})

t.test('a file and a folder cannot replace each other', async (t) => {
  const directory = await temporary(t)
  const backend = await openStore(directory)
  await upload(backend, { id: 'folder/a' }, Readable.from(['a']))
  await rejectsWith(t, upload(backend, { id: 'folder' }, Readable.from(['x'])), 'ALREADY_EXISTS')
  await rejectsWith(t, upload(backend, { id: 'folder/a/b' }, Readable.from(['x'])), 'FOLDER_NOT_FOUND')
  await rejectsWith(t, backend.createFolder?.('folder/', 'a', callOptions()) ?? Promise.resolve(), 'ALREADY_EXISTS')
  await backend.remove?.('folder', callOptions())
  t.equal(await readFile(join(directory, 'folder', 'a'), 'utf8'), 'a')
})

t.test('a reader keeps the version that it opened, and detects a truncated file', async (t) => {
  const directory = await temporary(t)
  const backend = await openStore(directory)
  const content = Buffer.alloc(4 * 1024 * 1024, 'a')
  await writeFile(join(directory, 'a'), content)
  const replaced = await backend.download('a', callOptions())
  await upload(backend, { id: 'a' }, Readable.from(['new']))
  t.ok((await readBody(replaced.body)).equals(content))

  await writeFile(join(directory, 'a'), content)
  const cut = await backend.download('a', callOptions())
  await truncate(join(directory, 'a'), 1000)
  await rejectsWith(t, readBody(cut.body), 'PROVIDER_UNAVAILABLE')
})

t.test('10,000 files are listed once each in pages, although one is removed and one is added', async (t) => {
  const directory = await temporary(t)
  const backend = await openStore(directory)
  for (let index = 0; index < 10_000; index++) {
    const file = await open(join(directory, `${index}.txt`), constants.O_CREAT | constants.O_WRONLY)
    await file.close()
  }
  const seen = new Map<string, number>()
  let cursor: string | undefined
  let calls = 0
  do {
    const page = await backend.listFolder(null, {
      ...callOptions(),
      limit: 1000,
      ...(cursor !== undefined && { cursor })
    })
    for (const { name } of page.entries) seen.set(name, (seen.get(name) ?? 0) + 1)
    cursor = page.next ?? undefined
    if (++calls === 2) {
      await rm(join(directory, '0.txt'))
      await writeFile(join(directory, '0 added.txt'), '')
    }
  } while (cursor !== undefined)
  t.equal(calls, 10)
  t.equal(seen.size, 10_000)
  t.ok([...seen.values()].every((times) => times === 1))
})

t.test('listing a page of a million names needs memory for one page only', async (t) => {
  collectGarbage()
  const before = process.memoryUsage().heapUsed
  const smallest = new SmallestNames(1001, 'name 0500000')
  for (let index = 0; index < 1_000_000; index++) {
    smallest.add(`name ${String((index * 7_919) % 1_000_000).padStart(7, '0')}`)
  }
  collectGarbage()
  const held = process.memoryUsage().heapUsed - before
  t.ok(held < 2 * 1024 * 1024, `${held} bytes`)
  const names = smallest.take()
  t.equal(names.length, 1001)
  t.equal(names[0], 'name 0500001')
  t.equal(names.at(-1), 'name 0501001')
})

t.test('aborting ends a listing', async (t) => {
  const directory = await temporary(t)
  const backend = await openStore(directory)
  for (let index = 0; index < 3000; index++) await writeFile(join(directory, String(index)), '')
  const controller = new AbortController()
  const reason = new Error('left')
  const work = backend.listFolder(null, { signal: controller.signal, limit: 1 })
  controller.abort(reason)
  t.equal(await work.catch((error: unknown) => error), reason)
})

t.test('an unusable folder fails the start with an error that names it', async (t) => {
  const base = await temporary(t)
  await writeFile(join(base, 'file'), '')
  await t.rejects(openStore(join(base, 'file')), { message: /"[^"]*file"/ })
  await mkdir(join(base, 'odd'))
  await writeFile(join(base, 'odd', '.fastify-cloud-storage'), '')
  await t.rejects(openStore(join(base, 'odd')), { message: /"[^"]*odd"/ })
  await mkdir(join(base, 'led away'))
  await symlink(base, join(base, 'led away', '.fastify-cloud-storage'))
  await t.rejects(openStore(join(base, 'led away')), { message: /"[^"]*led away"/ })
  await t.rejects(openStore(''), { message: /"directory"/ })
  const backend = await openStore(join(base, 'moved'))
  await rename(join(base, 'moved'), join(base, 'elsewhere'))
  await rejectsWith(t, backend.account(callOptions()), 'FOLDER_NOT_FOUND')
  await rejectsWith(t, listAll(backend, null), 'FOLDER_NOT_FOUND')
})

t.test('system errors are mapped to error codes without paths', async (t) => {
  for (const [system, code] of [
    ['ENOSPC', 'QUOTA_EXCEEDED'],
    ['EDQUOT', 'QUOTA_EXCEEDED'],
    ['EMFILE', 'PROVIDER_UNAVAILABLE'],
    ['EIO', 'PROVIDER_UNAVAILABLE'],
    ['EACCES', 'INTERNAL'],
    ['ENOENT', 'OBJECT_NOT_FOUND'],
    ['EXDEV', 'INTERNAL']
  ] as const) {
    const cause = Object.assign(new Error(`${system}: open '/srv/secret'`), { code: system })
    const error = toStorageError(cause, 'OBJECT_NOT_FOUND')
    t.equal(error.code, code)
    t.notMatch(error.message, '/srv')
  }
  t.equal(toStorageError('no error at all', 'OBJECT_NOT_FOUND').code, 'INTERNAL')
})
