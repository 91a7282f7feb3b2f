import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import type { Capabilities } from '../../src/core/backend.ts'
import { backendContract } from '../contract/backend.ts'
import type { Exceptions } from '../contract/harness.ts'
import { openWebdav } from '../contract/harness/webdav.ts'
import { callOptions, contentOf, rejectsWith } from '../contract/suite/arrange.ts'
import { upload } from '../contract/suite/uploads.ts'
import {
  hasLighttpdDav,
  hasNginxDav,
  type NginxOptions,
  type RunningDav,
  startLighttpdDav,
  startNginxDav,
  startRcloneDav
} from '../support/dav/dav-servers.ts'
import { hasRclone } from '../support/dav/rclone.ts'
import { connectTo, harnessOf, withConnectionLayers, newTestFolder, type RealDav } from '../support/dav/real-dav.ts'
import { requireService } from '../support/process/services.ts'
import { until } from '../support/time/until.ts'

interface Kind {
  readonly name: string
  /** Returns whether it is installed. Otherwise skips or fails the test. */
  readonly isAvailable: (t: Test) => boolean
  readonly start: (t: Test) => Promise<RunningDav>
  readonly capabilities: Partial<Capabilities>
  readonly exceptions?: Exceptions
}

const MIB = 1024 * 1024
const EMULATED = { createOnly: 'native', updateIfMatch: 'emulated', atomicReplace: 'emulated' } as const

const KINDS: readonly Kind[] = [
  {
    name: 'nginx dav-ext',
    isAvailable: (t) => requireService(t, 'nginx', hasNginxDav()),
    start: (t) => startNginxDav(t),
    capabilities: EMULATED,
    exceptions: {
      hidesDotFiles: 'nginx does not list names that begin with a dot',
      listsNoVersions: 'nginx sends ETags only in the headers of files'
    }
  },
  {
    name: 'lighttpd mod_webdav',
    isAvailable: (t) => requireService(t, 'lighttpd', hasLighttpdDav()),
    start: startLighttpdDav,
    capabilities: EMULATED
  },
  {
    name: 'rclone serve webdav',
    isAvailable: (t) => requireService(t, 'rclone', hasRclone()),
    start: startRcloneDav,
    capabilities: EMULATED
  }
]

function realDav(name: string, { url, folder, username, password, seed }: RunningDav): RealDav {
  return { name, url, folder, fields: { username, password }, scheme: 'Basic', put: seed }
}

for (const { name, isAvailable, start, capabilities, exceptions } of KINDS) {
  t.test(name, async (t) => {
    if (!isAvailable(t)) return
    const server = realDav(name, await start(t))

    t.test('the contract holds', async (t) => {
      backendContract(t, harnessOf(server, exceptions))
    })

    t.test('the contract holds through all layers', async (t) => {
      backendContract(t, harnessOf(server, exceptions), { wrap: withConnectionLayers })
    })

    t.test('connecting detects the capabilities and leaves nothing behind', async (t) => {
      const place = await newTestFolder(t, server)
      t.match((await connectTo(t, server, place)).capabilities, capabilities)
      t.same(await readdir(join(server.folder, place.name)), [])
      const { length } = place.proxy.requests
      await connectTo(t, server, place)
      t.ok(place.proxy.requests.length - length < 25, 'with few requests')
    })

    t.test('an interrupted upload leaves the old content and no other file', async (t) => {
      const place = await newTestFolder(t, server)
      const backend = await connectTo(t, server, place)
      const old = randomBytes(500)
      for (const bytes of [0, 1, 500, 5 * MIB]) {
        for (const size of [undefined, 9 * MIB]) {
          for (const file of ['old', 'new']) {
            await place.seed({ old })
            const body = new Readable({ read() {} })
            body.push(randomBytes(bytes))
            const { length } = place.proxy.requests
            const work = upload(backend, { parentId: null, name: file }, body, size === undefined ? {} : { size })
            const sent = () => place.proxy.requests.slice(length).some(({ method }) => method === 'PUT')
            await until(() => body.readableLength === 0 && (bytes === 0 || sent()))
            body.destroy(new Error('the client has left'))
            await t.rejects(work)
            await until(() => place.proxy.busy() === 0)
            const what = `${file}, ${bytes} of ${size}`
            t.same(await readdir(join(server.folder, place.name)), ['old'], what)
            t.ok((await readFile(join(server.folder, place.name, 'old'))).equals(old), what)
          }
        }
      }
    })

    t.test('the version of a download can be replaced, and no other one', async (t) => {
      const place = await newTestFolder(t, server)
      const backend = await connectTo(t, server, place)
      await place.seed({ a: 'first' })
      const download = await backend.download('a', callOptions())
      download.body.destroy()
      const replace = (content: string) =>
        upload(backend, { id: 'a' }, Readable.from([content]), { ifMatch: download.etag ?? '' })
      await replace('the second')
      await rejectsWith(t, replace('the third one'), 'PRECONDITION_FAILED')
      t.equal((await contentOf(backend, 'a')).toString(), 'the second')
    })

    t.test('a missing folder is FOLDER_NOT_FOUND and is not created', async (t) => {
      const place = await newTestFolder(t, server)
      const backend = await connectTo(t, server, place)
      await rejectsWith(t, upload(backend, { parentId: 'no/', name: 'a' }, Readable.from(['x'])), 'FOLDER_NOT_FOUND')
      t.same(await readdir(join(server.folder, place.name)), [])
    })
  })
}

t.test('connecting leaves nothing behind at an nginx, whatever methods it allows', async (t) => {
  if (!requireService(t, 'nginx', hasNginxDav())) return
  const methods = ['PUT DELETE MKCOL COPY MOVE', 'PUT MKCOL MOVE', 'PUT DELETE MKCOL', 'PUT', 'off']
  const cases: NginxOptions[] = methods.flatMap((methods) => [
    { methods, makesParents: true },
    { methods, makesParents: false }
  ])
  for (const options of cases) {
    const server = realDav('nginx', await startNginxDav(t, options))
    const backend = await openWebdav(t, { baseUrl: server.url, ...server.fields })
    t.same(await readdir(server.folder), [], JSON.stringify(options))
    const canMove = options.methods?.includes('DELETE') === true && options.methods.includes('MOVE')
    t.equal(backend.capabilities.atomicReplace, canMove ? 'emulated' : 'unsupported')
  }
})
