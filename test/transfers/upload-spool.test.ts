import { randomBytes } from 'node:crypto'
import { lutimes, mkdir, open, readdir, stat, symlink, type FileHandle, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { isStorageError, type StorageErrorCode } from '../../src/errors.ts'
import { toSizedBody } from '../../src/providers/shared/sized-body.ts'
import { UploadSource } from '../../src/providers/shared/upload.ts'
import { chunkedStream } from '../contract/suite/uploads.ts'
import { readBody } from '../support/app/read-body.ts'
import { ManualClock } from '../support/time/clock.ts'
import { setEnvironment } from '../support/process/environment.ts'
import { spoolSpace } from '../support/backend/spool.ts'

/** The bytes of a body of unknown size that are held in memory before it is written to a file. */
const HELD = 4 * 1024 * 1024
const LIMITS = { maxBytes: 100, maxBytesPerUser: 150, maxTotalBytes: 250 }

async function codeOf(work: Promise<unknown>): Promise<StorageErrorCode | 'none' | 'other'> {
  return work.then(
    () => 'none' as const,
    (error: unknown) => (isStorageError(error) ? error.code : 'other')
  )
}

/** A space in a folder of this test. */
function inFolder(t: Test, options: Parameters<typeof spoolSpace>[0] = {}) {
  const folder = t.testdir()
  return { folder, space: spoolSpace({ ...LIMITS, folder, ...options }) }
}

t.test('a file returns its bytes, and has neither a name nor a folder', async (t) => {
  const { folder, space } = inFolder(t, { maxBytes: 2 ** 30, maxBytesPerUser: 2 ** 30, maxTotalBytes: 2 ** 30 })
  const file = await space.create('a')
  t.same(await readdir(folder), [])
  const content = randomBytes(700_001)
  await file.append(content.subarray(0, 400_000))
  await file.append(content.subarray(400_000))
  t.equal(file.size, content.length)
  t.ok((await readBody(file.read())).equals(content))
  await file.close()
  t.same(await readdir(folder), [])
})

t.test('a file is created for its owner only, in a folder for the owner only', async (t) => {
  let modes: number[] = []
  const { space } = inFolder(t, {
    open: async (path, flags, mode) => {
      const handle = await open(path, flags, mode)
      const [file, folder] = await Promise.all([stat(path), stat(join(String(path), '..'))])
      modes = [file.mode & 0o777, folder.mode & 0o777]
      return handle
    }
  })
  await (await space.create('a')).close()
  t.same(modes, [0o600, 0o700])
})

t.test('an upload, a user and the process each have a limit with its own error', async (t) => {
  const { space } = inFolder(t)
  const [first, second, other, third] = await Promise.all(['a', 'a', 'b', 'c'].map((user) => space.create(user)))
  if (!first || !second || !other || !third) throw new Error('no files')
  await first.append(Buffer.alloc(100))
  t.equal(await codeOf(first.append(Buffer.alloc(1))), 'PAYLOAD_TOO_LARGE', 'one upload')
  await second.append(Buffer.alloc(50))
  t.equal(await codeOf(second.append(Buffer.alloc(1))), 'TOO_MANY_REQUESTS', 'one user')
  await other.append(Buffer.alloc(90))
  await third.append(Buffer.alloc(10))
  t.equal(space.bytes, 250)
  t.equal(await codeOf(third.append(Buffer.alloc(1))), 'INSUFFICIENT_STORAGE', 'all users')
  t.equal(space.bytes, 250, 'refused bytes are not counted')
  await first.close()
  await first.close()
  t.equal(space.bytes, 150, 'closing twice releases the space once')
  await third.append(Buffer.alloc(90))
  await second.append(Buffer.alloc(10))
  await Promise.all([second.close(), other.close(), third.close()])
  t.equal(space.bytes, 0)
})

t.test('a full disk and an unusable folder have different errors', async (t) => {
  for (const code of ['ENOSPC', 'EDQUOT', 'EFBIG', 'EIO']) {
    const failing = async (...given: Parameters<typeof open>): Promise<FileHandle> => {
      const handle = await open(...given)
      handle.appendFile = () => Promise.reject(Object.assign(new Error(`${code}: /secret/path`), { code }))
      return handle
    }
    const { folder, space } = inFolder(t, { open: failing })
    const file = await space.create('a')
    const error: unknown = await file.append(Buffer.alloc(10)).catch((reason: unknown) => reason)
    t.match(error, { code: code === 'EIO' ? 'INTERNAL' : 'INSUFFICIENT_STORAGE', message: /^[^/]*$/ }, code)
    await file.close()
    t.equal(space.bytes, 0)
    t.same(await readdir(folder), [])
  }
  const cannotOpen = inFolder(t, { open: () => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' })) })
  t.equal(await codeOf(cannotOpen.space.create('a')), 'INSUFFICIENT_STORAGE')
  t.same(await readdir(cannotOpen.folder), [], 'the folder is removed')
  const missing = spoolSpace({ folder: join(t.testdir(), 'none') })
  t.equal(await codeOf(missing.create('a')), 'INTERNAL')
  await t.rejects(missing.assertUsable())
  await t.resolves(inFolder(t).space.assertUsable())
})

t.test('the default folder is the temporary folder of the system', async (t) => {
  const folder = t.testdir()
  setEnvironment(t, { TMPDIR: join(folder, 'none') })
  t.equal(await codeOf(spoolSpace().create('a')), 'INTERNAL')
  process.env['TMPDIR'] = folder
  await (await spoolSpace().create('a')).close()
})

t.test('files of crashed processes are removed after a day, and no others', async (t) => {
  const clock = new ManualClock()
  const root = t.testdir({ spool: {}, outside: { file: 'x' } })
  const [folder, outside] = [join(root, 'spool'), join(root, 'outside')]
  const space = spoolSpace({ folder, clock })
  const at = (name: string) => join(folder, name)
  const prefix = 'fastify-cloud-storage-upload-'
  const made = async (name: string, ageMs: number) => {
    await mkdir(at(name))
    await writeFile(join(at(name), 'body'), 'x')
    const time = (clock.date() - ageMs) / 1000
    await utimes(at(name), time, time)
  }
  await made(`${prefix}old`, 86_400_001)
  await made(`${prefix}young`, 86_000_000)
  await made('upload-of-somebody', 200_000_000)
  await symlink(outside, at(`${prefix}link`))
  await writeFile(at(`${prefix}file`), 'x')
  await utimes(at(`${prefix}file`), 1, 1)
  await lutimes(at(`${prefix}link`), 1, 1)
  const file = await space.create('a')
  t.same((await readdir(folder)).sort(), [`${prefix}file`, `${prefix}link`, `${prefix}young`, 'upload-of-somebody'])
  t.same(await readdir(outside), ['file'])
  await file.close()
})

t.test('a body of unknown size is buffered in memory first, and its space is always released', async (t) => {
  const folder = t.testdir()
  const limits = { maxBytes: 3 * HELD, maxBytesPerUser: 3 * HELD, maxTotalBytes: 3 * HELD }
  const space = spoolSpace({ ...limits, folder })
  const spool = { create: () => space.create('a') }
  const files = async () => (process.platform === 'linux' ? (await readdir('/proc/self/fd')).length : 0)
  const before = await files()
  const body = (bytes: number) => new UploadSource(chunkedStream(Buffer.alloc(bytes)), undefined)

  const small = await toSizedBody(body(HELD), undefined, spool)
  t.equal(space.bytes, 0, 'up to 4 MiB need no space')
  await small.close()
  const stored = await toSizedBody(body(HELD + 1), undefined, spool)
  t.equal(space.bytes, HELD + 1)
  t.equal(await codeOf(toSizedBody(body(3 * HELD), undefined, spool)), 'TOO_MANY_REQUESTS')
  t.equal(space.bytes, HELD + 1)
  await stored.close()
  t.equal(await codeOf(toSizedBody(body(3 * HELD + 1), undefined, spool)), 'PAYLOAD_TOO_LARGE')
  const failing = Readable.from(
    (async function* () {
      yield Buffer.alloc(HELD)
      yield Buffer.alloc(HELD)
      throw new Error('the client has left')
    })(),
    { objectMode: false }
  )
  t.equal(await codeOf(toSizedBody(new UploadSource(failing, undefined), undefined, spool)), 'INVALID_REQUEST')
  t.equal(space.bytes, 0)
  t.same(await readdir(folder), [])
  t.equal(await files(), before, 'no file is left open')
})
