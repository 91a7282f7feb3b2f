import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import type { Test } from 'tap'
import type { StorageBackend, UploadTarget } from '../../../src/core/backend.ts'
import { until } from '../../support/time/until.ts'
import { callOptions, contentOf, find, listAll, rejectsWith, requireMethod, type Open } from './arrange.ts'
import { upload } from './uploads.ts'

const MIB = 1024 * 1024
/** Sizes that are uploaded in one request, in one streamed request or in parts, depending on the backend. */
const SIZES = [1000, 8 * MIB + 1, 20_000_001]
/** Includes the sizes at which backends cut parts, or switch to another upload method. */
const DECLARED_SIZES = [0, 1, 500, 4 * MIB, 8 * MIB, 10 * MIB, 16 * MIB, 20_000_000]
const CONTENT = randomBytes(20 * MIB)
/** Half of the smallest upload: its size cannot tell the old content from an interrupted upload. */
const OLD_CONTENT = randomBytes(500)
const ABORT_REASON = new Error('the caller has left')

/** Ways to interrupt an upload after its source has produced some bytes. */
const INTERRUPTIONS: Readonly<Record<string, (source: Readable, controller: AbortController) => void>> = {
  'the source fails': (source) => source.destroy(new Error('the client has left')),
  'the source is closed': (source) => source.destroy(),
  'the source ends early': (source) => source.push(null),
  'the signal aborts': (_source, controller) => {
    controller.abort(ABORT_REASON)
  }
}

/**
 * Produces its chunks one by one, each after the previous one was consumed. A function among the chunks is called in
 * its turn; the stream continues when it resolves.
 */
class SteppedReadable extends Readable {
  readonly #steps: (Buffer | ((source: Readable) => Promise<void>))[]

  constructor(steps: readonly (Buffer | ((source: Readable) => Promise<void>))[]) {
    super({ highWaterMark: 1 })
    this.#steps = [...steps]
  }

  override _read(): void {
    const step = this.#steps.shift()
    if (step === undefined) return
    if (Buffer.isBuffer(step)) this.push(step)
    else {
      step(this).then(
        () => {
          if (!this.destroyed) this._read()
        },
        (error: unknown) => this.destroy(error as Error)
      )
    }
  }
}

/** Returns the first `bytes` of the content, in chunks that match no part size. */
function chunksUpTo(bytes: number): Buffer[] {
  const SIZE = 655_211
  const chunks: Buffer[] = []
  for (let at = 0; at < bytes; at += SIZE) chunks.push(CONTENT.subarray(at, Math.min(bytes, at + SIZE)))
  return chunks
}

/** A file with old content, and an unused name. */
interface UploadFixture {
  readonly backend: StorageBackend
  readonly targets: Readonly<Record<string, UploadTarget>>
  /** Sends a request, so that the sent bytes arrive. Readers see the old file until an upload is complete. */
  readonly flush: () => Promise<void>
  /** Checks that the old file is unchanged, and that the new name is still unused. */
  readonly assertUnchanged: (description: string) => Promise<void>
  /** Checks that the version of the old file is unchanged. */
  readonly assertVersionUnchanged: () => Promise<void>
}

async function prepareFixture(t: Test, open: Open): Promise<UploadFixture | null> {
  const { backend, seed, busy } = await open(t)
  const { capabilities } = backend
  if (capabilities.upload === 'unsupported') return null
  await seed({ 'old.bin': OLD_CONTENT })
  // If IDs are paths, it has the ID that the new file would get.
  const removed = await upload(backend, { parentId: null, name: 'new.bin' }, Readable.from(['x']))
  await requireMethod(backend.remove?.bind(backend))(removed.id, callOptions())
  const old = await find(backend, 'old.bin')
  const isAtomic = capabilities.atomicReplace !== 'unsupported'

  const assertUnchanged = async (description: string): Promise<void> => {
    await until(async () => (await busy()) === 0)
    const entries = await listAll(backend, null)
    const others = entries.filter(({ name }) => name !== 'old.bin')
    t.same(others, [], `${description}: no other name is listed`)
    await rejectsWith(t, backend.stat(removed.id, callOptions()), 'OBJECT_NOT_FOUND', `${description}: the new name`)
    if (!isAtomic) return
    t.same(
      entries.filter(({ name }) => name === 'old.bin'),
      [old],
      `${description}: the old entry`
    )
    t.ok((await contentOf(backend, old.id)).equals(OLD_CONTENT), `${description}: the old content`)
  }
  return {
    backend,
    targets: {
      'a new name': { parentId: null, name: 'new.bin' },
      'an existing name': { parentId: null, name: 'old.bin' },
      'an existing object': { id: old.id }
    },
    flush: async () => {
      if (!isAtomic) await backend.listFolder(null, { ...callOptions(), limit: 1 })
      else t.ok((await contentOf(backend, old.id)).equals(OLD_CONTENT), 'readers see the old content')
    },
    assertUnchanged,
    assertVersionUnchanged: async () => {
      if (!isAtomic) {
        t.pass('atomicReplace is unsupported: the old content is not guaranteed')
        return
      }
      if (capabilities.updateIfMatch === 'unsupported' || old.version === null) return
      await upload(backend, { id: old.id }, Readable.from(['newer']), { ifMatch: old.version })
      t.equal((await contentOf(backend, old.id)).toString(), 'newer', 'the stored version is replaced')
    }
  }
}

/** One interruption of an upload. */
interface Interruption {
  readonly description: string
  readonly target: UploadTarget
  readonly bytes: number
  readonly interruption: string
}

/**
 * Yields all interruptions at all points. A small upload is tried with each target. Large ones alternate between the
 * targets, which saves time and still combines each target with each point and each interruption.
 */
function* interruptions(targets: UploadFixture['targets'], size: number): Generator<Interruption> {
  const targetEntries = Object.entries(targets)
  let rotation = 0
  for (const bytes of [0, 1, size >> 1, size - 1, size]) {
    for (const interruption of Object.keys(INTERRUPTIONS)) {
      rotation += 1
      for (const [index, [targetName, target]] of targetEntries.entries()) {
        if (size > MIB && index !== rotation % targetEntries.length) continue
        yield { description: `${targetName}, ${bytes} of ${size} bytes, ${interruption}`, target, bytes, interruption }
      }
    }
  }
}

/** Interrupted uploads, and uploads of the wrong length, must have no visible effect. */
export function brokenUploads(t: Test, open: Open): void {
  testBrokenUploads(t, open, { sizes: SIZES, declared: DECLARED_SIZES })
}

/** The same with single-request uploads only, which takes a tenth of the time. */
export function smallBrokenUploads(t: Test, open: Open): void {
  testBrokenUploads(t, open, { sizes: SIZES.slice(0, 1), declared: DECLARED_SIZES.slice(0, 3) })
}

function testBrokenUploads(
  t: Test,
  open: Open,
  { sizes, declared }: { readonly sizes: readonly number[]; readonly declared: readonly number[] }
): void {
  for (const size of sizes) {
    for (const isKnown of [true, false]) {
      const length = isKnown ? 'known' : 'unknown'
      t.test(`an interrupted upload of ${size} bytes, of ${length} length, changes nothing`, async (t) => {
        const fixture = await prepareFixture(t, open)
        if (fixture === null) return t.pass('upload is unsupported')
        for (const { description, target, bytes, interruption } of interruptions(fixture.targets, size)) {
          // Without a declared size, or with all bytes, this is a regular end.
          if (interruption === 'the source ends early' && (!isKnown || bytes === size)) continue
          const controller = new AbortController()
          const source = new SteppedReadable([
            ...chunksUpTo(bytes),
            async (source) => {
              await fixture.flush()
              INTERRUPTIONS[interruption]?.(source, controller)
            }
          ])
          const { signal } = controller
          const promise = upload(fixture.backend, target, source, { signal, ...(isKnown && { size }) })
          if (interruption !== 'the signal aborts') await rejectsWith(t, promise, 'INVALID_REQUEST', description)
          else t.equal(await promise.catch((error: unknown) => error), ABORT_REASON, description)
          t.equal(source.destroyed, true, `${description}: the source is destroyed`)
          await fixture.assertUnchanged(description)
        }
        await fixture.assertVersionUnchanged()
      })
    }
  }

  t.test('a source that continues past its declared size changes nothing', async (t) => {
    const fixture = await prepareFixture(t, open)
    if (fixture === null) return t.pass('upload is unsupported')
    const targetEntries = Object.entries(fixture.targets)
    let rotation = 0
    for (const size of declared) {
      const complete = size === 0 ? [] : [CONTENT.subarray(0, size)]
      const cases = {
        'one more byte': [...complete, CONTENT.subarray(0, 1)],
        'one more chunk': [...complete, CONTENT.subarray(0, 1000)],
        'a later byte': [...complete, fixture.flush, CONTENT.subarray(0, 1)],
        'a later chunk, after an empty one': [...complete, Buffer.alloc(0), fixture.flush, CONTENT.subarray(0, 1000)],
        'more in the same chunk': [CONTENT.subarray(0, size + 1)]
      }
      for (const [name, steps] of Object.entries(cases)) {
        rotation += 1
        for (const [index, [targetName, target]] of targetEntries.entries()) {
          if (size > MIB && (index !== rotation % targetEntries.length || rotation % 2 === 0)) continue
          const description = `${targetName}, ${size} bytes and ${name}`
          const source = new SteppedReadable([...steps, async (source) => void source.push(null)])
          await rejectsWith(t, upload(fixture.backend, target, source, { size }), 'INVALID_REQUEST', description)
          t.equal(source.destroyed, true, `${description}: the source is destroyed`)
          await fixture.assertUnchanged(description)
        }
      }
    }
    await fixture.assertVersionUnchanged()
  })
}
