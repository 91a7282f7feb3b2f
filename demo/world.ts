import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import type { DemoConfig } from '../src/config.ts'
import type { Clock } from '../src/domain/ports.ts'
import { systemClock } from '../src/infra/clock.ts'
import { SAMPLE_BUCKET } from '../src/server/sample-store.ts'
import { openDemo } from '../src/server/open-demo.ts'
import { ServerRun } from '../src/server/server-run.ts'
import { FakeMistakes, type Lifetime } from '../test/fakes/lifetime.ts'
import { type DemoGoogle, GOOGLE_ACCOUNT, startGoogle } from './clouds/google.ts'
import { type DavLogin, startDav } from './clouds/webdav.ts'
import { startControls } from './controls/server.ts'
import { reservePort } from './reserved-port.ts'
import { configOf, HOST } from './settings.ts'

export interface DemoWorldOptions {
  /** 0: any that is free. */
  readonly port?: number
  readonly logLevel?: DemoConfig['logLevel']
  /** By which Google's moods end. */
  readonly clock?: Pick<Clock, 'now'>
  /** Hears what a cloud was asked that nobody should ask. Left out: it is a failure of `close`. */
  readonly onMistakes?: (error: FakeMistakes) => void
  /** Is told what takes a while. */
  readonly onStep?: (step: string) => void
  /** The folder with what was built of the page and the picker. Left out: what `npm run build` makes. */
  readonly built?: URL
}

/** The server with its three clouds, listening. */
export interface DemoWorld {
  /** Of the server, without a slash at its end. */
  readonly url: string
  /** The page, with the token in its fragment. */
  readonly pageUrl: string
  /** What the user `demo` shows: `Authorization: Bearer …`. */
  readonly token: string
  readonly app: FastifyInstance
  /** Google, with what can be done to it, and who signs in there. */
  readonly google: DemoGoogle & { readonly account: typeof GOOGLE_ACCOUNT }
  /** What to type into the form of WebDAV. */
  readonly webdav: DavLogin
  /** Connected already. */
  readonly s3: { readonly endpoint: string; readonly bucket: string }
  /** The address of the page that does something to Google. */
  readonly controlsUrl: string
  /** With the database and everything else that is on disk; it goes at the end. */
  readonly folder: string
  /** @throws what did not end as it should */
  close(): Promise<void>
}

/** Starts everything on loopback; what has been started ends again where the rest does not start. */
export async function startDemoWorld(options: DemoWorldOptions = {}): Promise<DemoWorld> {
  const run = new ServerRun()
  try {
    return await openDemoWorld(run, options)
  } catch (error) {
    await run.end()
    throw error
  }
}

/** The same, for whoever ends the run. */
export async function openDemoWorld(run: ServerRun, options: DemoWorldOptions = {}): Promise<DemoWorld> {
  const { clock = systemClock, logLevel = 'silent', onMistakes, onStep = () => {}, built } = options
  const reserved = await reservePort(options.port ?? 0)
  run.add(() => reserved.release())
  const { port } = reserved
  const url = `http://${HOST}:${port}`

  const folder = await mkdtemp(join(tmpdir(), 'cloud-storage-demo-'))
  run.add(() => rm(folder, { recursive: true, force: true }))
  const lifetime = lifetimeOf(run, onMistakes)
  const redirectUri = `${url}/cloud/connections/google_drive/callback`
  onStep('Starting Google Drive and WebDAV with some thousand files')
  const google = await startGoogle(lifetime, { redirectUri, clock })
  const { login } = await startDav(lifetime)

  const places = { port, folder, publicUrl: url, webdav: new URL(login.baseUrl).host }
  const config = configOf(places, logLevel)
  const { app, demo, listen } = await openDemo(run, config, {
    providers: { google_drive: google.provider },
    onStep,
    ...(built && { built })
  })
  const controlsUrl = await startControls(lifetime, { moods: google.moods, serverUrl: url })
  await reserved.release()
  await listen()
  app.log.level = config.logLevel
  const token = demo.token(app)
  return {
    url,
    pageUrl: `${url}/#token=${token}`,
    token,
    app,
    google: { ...google, account: GOOGLE_ACCOUNT },
    webdav: login,
    s3: { endpoint: demo.storeUrl, bucket: SAMPLE_BUCKET },
    controlsUrl,
    folder,
    close: () => run.end()
  }
}

/** For the fakes, whose complaints are a failure to a test, and to somebody who looks around no more than a remark. */
function lifetimeOf(run: ServerRun, onMistakes: DemoWorldOptions['onMistakes']): Lifetime {
  return {
    teardown(step) {
      run.add(async () => {
        try {
          await step()
        } catch (error) {
          if (onMistakes === undefined || !(error instanceof FakeMistakes)) throw error
          onMistakes(error)
        }
      })
    }
  }
}
