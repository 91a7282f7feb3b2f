import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import type { DemoConfig } from '../server/config.ts'
import { type Clock, systemClock } from '../src/core/time.ts'
import { SAMPLE_BUCKET } from '../server/demo/samples.ts'
import { openDemo } from '../server/demo/demo.ts'
import { ServerRun } from '../server/run.ts'
import { FakeMistakes, type Lifetime } from '../test/fakes/lifetime.ts'
import { type DemoGoogle, GOOGLE_ACCOUNT, startGoogle } from './clouds/google.ts'
import { type DavLogin, startDav } from './clouds/webdav.ts'
import { startControls } from './controls/server.ts'
import { reservePort } from './reserved-port.ts'
import { createDemoConfig, HOST } from './settings.ts'

export interface DemoWorldOptions {
  /** 0: any free port. */
  readonly port?: number
  readonly logLevel?: DemoConfig['logLevel']
  /** The clock that ends Google's faults. */
  readonly clock?: Pick<Clock, 'now'>
  /** Receives requests to a cloud that are mistakes. Default: `close` fails with them. */
  readonly onMistakes?: (error: FakeMistakes) => void
  /** Receives the name of each slow step. */
  readonly onStep?: (step: string) => void
  /** The folder with the built page and picker. Default: the output of `npm run build`. */
  readonly webRoot?: URL
}

/** The server with its three clouds, listening. */
export interface DemoWorld {
  /** The URL of the server, without a slash at its end. */
  readonly url: string
  /** The URL of the page, with the token in its fragment. */
  readonly pageUrl: string
  /** The bearer token of the user `demo`. */
  readonly token: string
  readonly app: FastifyInstance
  /** The emulated Google, with its faults, a colleague who changes files, and the account for signing in. */
  readonly google: DemoGoogle & { readonly account: typeof GOOGLE_ACCOUNT }
  /** The values for the form of WebDAV. */
  readonly webdav: DavLogin
  /** Already connected. */
  readonly s3: { readonly endpoint: string; readonly bucket: string }
  /** The URL of the page that changes Google Drive and causes Google's faults. */
  readonly controlsUrl: string
  /** The folder of the database and of all other files; it is removed at the end. */
  readonly folder: string
  /** @throws the error of a part that failed to stop */
  close(): Promise<void>
}

/** Starts everything on loopback. If a part does not start, those that have started are stopped. */
export async function startDemoWorld(options: DemoWorldOptions = {}): Promise<DemoWorld> {
  const run = new ServerRun()
  try {
    return await openDemoWorld(run, options)
  } catch (error) {
    await run.end()
    throw error
  }
}

/** Does the same for a run that the caller ends. */
export async function openDemoWorld(run: ServerRun, options: DemoWorldOptions = {}): Promise<DemoWorld> {
  const { clock = systemClock, logLevel = 'silent', onMistakes, onStep = () => {}, webRoot } = options
  const reservedPort = await reservePort(options.port ?? 0)
  run.add(() => reservedPort.release())
  const { port } = reservedPort
  const url = `http://${HOST}:${port}`

  const folder = await mkdtemp(join(tmpdir(), 'cloud-storage-demo-'))
  run.add(() => rm(folder, { recursive: true, force: true }))
  const lifetime = createLifetime(run, onMistakes)
  const redirectUri = `${url}/cloud/connections/google_drive/callback`
  onStep('Starting Google Drive and WebDAV with several thousand files')
  const google = await startGoogle(lifetime, { redirectUri, clock })
  const { login } = await startDav(lifetime)

  const endpoints = { port, folder, publicUrl: url, webdav: new URL(login.baseUrl).host }
  const config = createDemoConfig(endpoints, logLevel)
  const { app, demo, listen } = await openDemo(run, config, {
    providers: { google_drive: google.provider },
    onStep,
    ...(webRoot && { webRoot })
  })
  const controlsUrl = await startControls(lifetime, { google, serverUrl: url })
  await reservedPort.release()
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

/** Returns the lifetime of the fakes. The mistakes that they report fail a test, but are only remarks in a demo. */
function createLifetime(run: ServerRun, onMistakes: DemoWorldOptions['onMistakes']): Lifetime {
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
