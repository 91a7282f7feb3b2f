import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import type { Test } from 'tap'
import type { StorageBackend, UploadTarget } from '../../../src/core/backend.ts'
import { until } from '../../support/time/until.ts'
import { call, contentOf, find, listAll, rejectsWith, required, type Open } from './arrange.ts'
import { upload } from './uploads.ts'

const MIB = 1024 * 1024
/** Sizes that are uploaded in one request, in one streamed request or in parts, depending on the backend. */
const SIZES = [1000, 8 * MIB + 1, 20_000_001]
/** Includes the sizes at which backends cut parts, or switch to another upload method. */
const DECLARED = [0, 1, 500, 4 * MIB, 8 * MIB, 10 * MIB, 16 * MIB, 20_000_000]
const CONTENT = randomBytes(20 * MIB)
/** Half of the smallest upload: its size cannot tell the old content from an interrupted upload. */
const OLD = randomBytes(500)
const REASON = new Error('the caller has left')

/** Ways to interrupt an upload after its source has produced some bytes. */
const INTERRUPTIONS: Readonly<Record<string, (source: Readable, controller: AbortController) => void>> = {
  'the source fails': (source) => source.destroy(new Error('the client has left')),
  'the source is closed': (source) => source.destroy(),
  'the source ends early': (source) => source.push(null),
  'the signal aborts': (_source, controller) => {
    controller.abort(REASON)
  }
}

/**
 * Produces its chunks one by one, each after the previous one was consumed. A function among the chunks is called in
 * its turn; the stream continues when it resolves.
 */
class Steps extends Readable {
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
function piecesUpTo(bytes: number): Buffer[] {
  const SIZE = 655_211
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes; at += SIZE) pieces.push(CONTENT.subarray(at, Math.min(bytes, at + SIZE)))
  return pieces
}

/** A file with old content, and an unused name. */
interface Scene {
  readonly backend: StorageBackend
  readonly targets: Readonly<Record<string, UploadTarget>>
  /** Sends a request, so that the sent bytes arrive. Readers see the old file until an upload is complete. */
  readonly settle: () => Promise<void>
  /** Checks that the old file is unchanged, and that the new name is still unused. */
  readonly isUnchanged: (what: string) => Promise<void>
  /** Checks that the version of the old file is unchanged. */
  readonly keepsVersion: () => Promise<void>
}

async function prepare(t: Test, open: Open): Promise<Scene | null> {
  const { backend, seed, busy } = await open(t)
  const { capabilities } = backend
  if (capabilities.upload === 'unsupported') return null
  await seed({ 'old.bin': OLD })
  // If IDs are paths, it has the ID that the new file would get.
  const removed = await upload(backend, { parentId: null, name: 'new.bin' }, Readable.from(['x']))
  await required(backend.remove?.bind(backend))(removed.id, call())
  const old = await find(backend, 'old.bin')
  const isAtomic = capabilities.atomicReplace !== 'unsupported'

  const isUnchanged = async (what: string): Promise<void> => {
    await until(async () => (await busy()) === 0)
    const entries = await listAll(backend, null)
    const others = entries.filter(({ name }) => name !== 'old.bin')
    t.same(others, [], `${what}: no other name is listed`)
    await rejectsWith(t, backend.stat(removed.id, call()), 'OBJECT_NOT_FOUND', `${what}: the new name`)
    if (!isAtomic) return
    t.same(
      entries.filter(({ name }) => name === 'old.bin'),
      [old],
      `${what}: the old entry`
    )
    t.ok((await contentOf(backend, old.id)).equals(OLD), `${what}: the old content`)
  }
  return {
    backend,
    targets: {
      'a new name': { parentId: null, name: 'new.bin' },
      'an existing name': { parentId: null, name: 'old.bin' },
      'an existing object': { id: old.id }
    },
    settle: async () => {
      if (!isAtomic) await backend.listFolder(null, { ...call(), limit: 1 })
      else t.ok((await contentOf(backend, old.id)).equals(OLD), 'readers see the old content')
    },
    isUnchanged,
    keepsVersion: async () => {
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
interface Break {
  readonly what: string
  readonly target: UploadTarget
  readonly bytes: number
  readonly way: string
}

/**
 * Yields all interruptions at all points. A small upload is tried with each target. Large ones alternate between the
 * targets, which saves time and still combines each target with each point and each interruption.
 */
function* breaks(targets: Scene['targets'], size: number): Generator<Break> {
  const places = Object.entries(targets)
  let turn = 0
  for (const bytes of [0, 1, size >> 1, size - 1, size]) {
    for (const way of Object.keys(INTERRUPTIONS)) {
      turn += 1
      for (const [index, [place, target]] of places.entries()) {
        if (size > MIB && index !== turn % places.length) continue
        yield { what: `${place}, ${bytes} of ${size} bytes, ${way}`, target, bytes, way }
      }
    }
  }
}

/** Interrupted uploads, and uploads of the wrong length, must have no visible effect. */
export function brokenUploads(t: Test, open: Open): void {
  breakUploads(t, open, { sizes: SIZES, declared: DECLARED })
}

/** The same with single-request uploads only, which takes a tenth of the time. */
export function brokenSmallUploads(t: Test, open: Open): void {
  breakUploads(t, open, { sizes: SIZES.slice(0, 1), declared: DECLARED.slice(0, 3) })
}

function breakUploads(
  t: Test,
  open: Open,
  { sizes, declared }: { readonly sizes: readonly number[]; readonly declared: readonly number[] }
): void {
  for (const size of sizes) {
    for (const isKnown of [true, false]) {
      const length = isKnown ? 'known' : 'unknown'
      t.test(`an interrupted upload of ${size} bytes, of ${length} length, changes nothing`, async (t) => {
        const scene = await prepare(t, open)
        if (scene === null) return t.pass('upload is unsupported')
        for (const { what, target, bytes, way } of breaks(scene.targets, size)) {
          // Without a declared size, or with all bytes, this is a regular end.
          if (way === 'the source ends early' && (!isKnown || bytes === size)) continue
          const controller = new AbortController()
          const source = new Steps([
            ...piecesUpTo(bytes),
            async (source) => {
              await scene.settle()
              INTERRUPTIONS[way]?.(source, controller)
            }
          ])
          const { signal } = controller
          const work = upload(scene.backend, target, source, { signal, ...(isKnown && { size }) })
          if (way !== 'the signal aborts') await rejectsWith(t, work, 'INVALID_REQUEST', what)
          else t.equal(await work.catch((error: unknown) => error), REASON, what)
          t.equal(source.destroyed, true, `${what}: the source is destroyed`)
          await scene.isUnchanged(what)
        }
        await scene.keepsVersion()
      })
    }
  }

  t.test('a source that continues past its declared size changes nothing', async (t) => {
    const scene = await prepare(t, open)
    if (scene === null) return t.pass('upload is unsupported')
    const places = Object.entries(scene.targets)
    let turn = 0
    for (const size of declared) {
      const whole = size === 0 ? [] : [CONTENT.subarray(0, size)]
      const cases = {
        'one more byte': [...whole, CONTENT.subarray(0, 1)],
        'one more chunk': [...whole, CONTENT.subarray(0, 1000)],
        'a later byte': [...whole, scene.settle, CONTENT.subarray(0, 1)],
        'a later chunk, after an empty one': [...whole, Buffer.alloc(0), scene.settle, CONTENT.subarray(0, 1000)],
        'more in the same chunk': [CONTENT.subarray(0, size + 1)]
      }
      for (const [name, steps] of Object.entries(cases)) {
        turn += 1
        for (const [index, [place, target]] of places.entries()) {
          if (size > MIB && (index !== turn % places.length || turn % 2 === 0)) continue
          const what = `${place}, ${size} bytes and ${name}`
          const source = new Steps([...steps, async (source) => void source.push(null)])
          await rejectsWith(t, upload(scene.backend, target, source, { size }), 'INVALID_REQUEST', what)
          t.equal(source.destroyed, true, `${what}: the source is destroyed`)
          await scene.isUnchanged(what)
        }
      }
    }
    await scene.keepsVersion()
  })
}
