import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { type SizedBody, withSize } from '../../src/providers/shared/sized-body.ts'
import { uploadFrom, UploadSource } from '../../src/providers/shared/upload-source.ts'
import { piecesOf } from '../contract/suite/uploads.ts'
import { setEnvironment } from '../support/environment.ts'

const HELD = 4 * 1024 * 1024

/** A temporary folder of this test alone. */
function temporary(t: Test): string {
  const folder = t.testdir()
  setEnvironment(t, { TMPDIR: folder })
  return folder
}

async function readAll({ stream }: SizedBody): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of stream) pieces.push(piece)
  return Buffer.concat(pieces)
}

t.test('a body has its size, whether it was announced or not', async (t) => {
  temporary(t)
  for (const size of [0, 1, HELD - 1, HELD, HELD + 1, 3 * HELD + 7]) {
    const content = randomBytes(size)
    for (const announced of [size, undefined]) {
      const body = await withSize(new UploadSource(piecesOf(content), announced), announced)
      t.equal(body.size, size, `${size}, announced as ${announced}`)
      t.ok((await readAll(body)).equals(content))
      await body.close()
    }
  }
})

t.test('an announced body is not waited for', async (t) => {
  const silent = new Readable({ read() {} })
  const body = await withSize(new UploadSource(silent, 10), 10)
  t.equal(body.size, 10)
  silent.destroy()
  await t.rejects(readAll(body), { code: 'INVALID_REQUEST' })
})

t.test('what is kept in a file has no name there, and is let go of', async (t) => {
  const folder = temporary(t)
  const open = async () => (await readdir('/proc/self/fd')).length
  const before = process.platform === 'linux' ? await open() : 0
  const body = await withSize(new UploadSource(piecesOf(randomBytes(HELD + 1)), undefined), undefined)
  t.same(await readdir(folder), [])
  await body.close()
  const failing = Readable.from(
    (async function* () {
      yield randomBytes(HELD)
      yield randomBytes(HELD)
      throw new Error('the client has left')
    })(),
    { objectMode: false }
  )
  await t.rejects(withSize(new UploadSource(failing, undefined), undefined), { code: 'INVALID_REQUEST' })
  t.same(await readdir(folder), [])
  if (process.platform === 'linux') t.equal(await open(), before, 'no file is left open')
})

t.test('a folder that takes nothing is a failure of the server', async (t) => {
  const folder = temporary(t)
  process.env['TMPDIR'] = `${folder}/none`
  const source = new UploadSource(piecesOf(randomBytes(HELD + 1)), undefined)
  await t.rejects(withSize(source, undefined), { code: 'INTERNAL', message: /^[^/]*$/ })
})

t.test('an upload ends its source, whatever ends the upload', async (t) => {
  const { signal } = new AbortController()
  const silent = () => new Readable({ read() {} })
  const failing = silent()
  await t.rejects(
    uploadFrom(failing, { signal }, async () => {
      throw new Error('refused')
    }),
    /refused/
  )
  t.equal(failing.destroyed, true)
  for (const call of [{ size: -1 }, { size: 0.5 }, { ifMatch: 'v', ifNoneMatch: '*' as const }]) {
    const body = silent()
    await t.rejects(
      uploadFrom(body, { signal, ...call }, async () => 'stored'),
      { code: 'INVALID_REQUEST' }
    )
    t.equal(body.destroyed, true)
  }
  const controller = new AbortController()
  const reason = new Error('enough')
  const waiting = silent()
  const upload = uploadFrom(waiting, { signal: controller.signal }, async ({ stream }) => {
    for await (const piece of stream) t.fail(String(piece))
  })
  controller.abort(reason)
  await t.rejects(upload, reason)
  t.equal(waiting.destroyed, true)
})
