import t from 'tap'
import { ConnectFlow } from '../../../web/picker/state/connect.ts'
import type { ConnectionView } from '../../../web/picker/api.ts'
import { landingUrl, type Landing } from '../../../web/picker/popup.ts'
import { PickerProblem } from '../../../web/picker/problem.ts'
import { connectionTo, DRIVE, NEXTCLOUD, S3 } from '../../support/picker/entries.ts'
import { PickerWorld } from '../../support/picker/world.ts'

class FlowFixture {
  readonly world = new PickerWorld()
  readonly connected: ConnectionView[] = []
  readonly openedUrls: string[] = []
  isClosed = false
  isBlocked = false
  sendLanding: (landing: Landing) => void = () => undefined
  readonly flow: ConnectFlow

  constructor() {
    this.world.connected = []
    this.flow = new ConnectFlow({
      ...this.world.options(),
      api: () => this.world.api,
      returnTo: () => '/landing',
      connections: () => this.world.connected,
      onConnected: (connection) => {
        this.connected.push(connection)
      },
      windows: {
        newFlowId: () => 'f1',
        listen: (_flow, onLanding) => {
          this.sendLanding = onLanding
          return () => {
            this.sendLanding = () => undefined
          }
        },
        open: () => (this.isBlocked ? null : this.#window())
      }
    })
  }

  #window() {
    const isClosed = (): boolean => this.isClosed
    return {
      get isClosed() {
        return isClosed()
      },
      go: (url: string) => {
        this.openedUrls.push(url)
      },
      close: () => {
        this.isClosed = true
      }
    }
  }
}

const AUTHORIZE = async (): Promise<string> => 'https://provider.example/authorize'

t.test('a window opens for OAuth, and is closed when the connection exists', async (t) => {
  const seen = new FlowFixture()
  const { flow, world } = seen
  let returnTo: string | undefined
  world.api.authorize = async (_provider, place) => {
    returnTo = place
    return await AUTHORIZE()
  }
  flow.start(DRIVE, null)
  await world.clock.advance(4000)
  t.same(seen.openedUrls, ['https://provider.example/authorize'])
  t.equal(returnTo, '/landing?flow=f1')
  t.same(flow.login, { url: null, isClosed: false })
  world.connected = [connectionTo('google_drive')]
  await world.clock.advance(2000)
  t.equal(seen.connected.length, 1)
  t.equal(seen.isClosed, true)
  t.equal(flow.provider, null)
})

t.test('a landing page ends the wait at once, even if nothing has changed', async (t) => {
  const seen = new FlowFixture()
  const { flow, world } = seen
  world.api.authorize = AUTHORIZE
  world.connected = [connectionTo('google_drive')]
  flow.start(DRIVE, world.connected[0] ?? null)
  await world.clock.advance(100)
  seen.sendLanding({ error: null })
  await world.clock.advance(0)
  t.same(
    seen.connected.map(({ id }) => id),
    ['google_drive-1']
  )
  t.equal(world.clock.pendingTimers, 0)
})

t.test('an error on the landing page is shown, and the window is closed', async (t) => {
  const seen = new FlowFixture()
  seen.world.api.authorize = AUTHORIZE
  seen.flow.start(DRIVE, null)
  await seen.world.clock.advance(100)
  seen.sendLanding({ error: 'ACCESS_DENIED' })
  await seen.world.clock.advance(0)
  t.equal(seen.flow.task.problem?.code, 'ACCESS_DENIED')
  t.equal(seen.isClosed, true)
  t.equal(seen.flow.login, null)
})

t.test('a connection that required reauthentication counts when it is active again', async (t) => {
  const seen = new FlowFixture()
  const { flow, world } = seen
  world.api.authorize = AUTHORIZE
  const broken = connectionTo('google_drive', { status: 'REQUIRES_REAUTH' })
  world.connected = [broken]
  flow.start(DRIVE, broken)
  await world.clock.advance(6000)
  t.same(seen.connected, [])
  world.connected = [{ ...broken, status: 'ACTIVE' }]
  await world.clock.advance(2000)
  t.equal(seen.connected[0]?.status, 'ACTIVE')
})

t.test('a closed window is shown, but polling continues: a provider may have severed the opener', async (t) => {
  const seen = new FlowFixture()
  seen.world.api.authorize = AUTHORIZE
  seen.flow.start(DRIVE, null)
  await seen.world.clock.advance(100)
  seen.isClosed = true
  await seen.world.clock.advance(2000)
  t.equal(seen.flow.login?.isClosed, true)
  seen.world.connected = [connectionTo('google_drive')]
  await seen.world.clock.advance(2000)
  t.equal(seen.connected.length, 1)
})

t.test('without a window the user gets a link', async (t) => {
  const seen = new FlowFixture()
  seen.isBlocked = true
  seen.world.api.authorize = AUTHORIZE
  seen.flow.start(DRIVE, null)
  await seen.world.clock.advance(100)
  t.equal(seen.flow.login?.url, 'https://provider.example/authorize')
  seen.flow.end()
})

t.test('an authorization URL with a script scheme is not opened', async (t) => {
  const seen = new FlowFixture()
  seen.world.api.beginLogin = async () => ({ loginUrl: 'javascript:alert(1)', flowId: 'f' })
  seen.flow.start(NEXTCLOUD, null)
  await seen.flow.submit({ baseUrl: 'https://evil.example' })
  t.same(seen.openedUrls, [])
  t.equal(seen.flow.task.problem?.code, 'BAD_ANSWER')
})

t.test('a login flow is polled at the interval of the server, despite transient failures', async (t) => {
  const seen = new FlowFixture()
  const { flow, world } = seen
  const answers: (() => ConnectionView | { retryAfterMs: number })[] = [
    () => ({ retryAfterMs: 5000 }),
    () => {
      throw new PickerProblem('NETWORK')
    },
    () => connectionTo('nextcloud')
  ]
  world.api.beginLogin = async () => ({ loginUrl: 'https://cloud.example/login', flowId: 'f' })
  world.api.pollLogin = async () => answers.shift()?.() ?? { retryAfterMs: 1000 }
  flow.start(NEXTCLOUD, null)
  t.same(
    flow.fields.map(({ name }) => name),
    ['baseUrl']
  )
  void flow.submit({ baseUrl: 'https://cloud.example' })
  await world.clock.advance(2000)
  t.equal(answers.length, 2)
  await world.clock.advance(4000)
  t.equal(answers.length, 2, 'not before five seconds')
  await world.clock.advance(8000)
  t.equal(seen.connected[0]?.provider, 'nextcloud')
})

t.test('a login flow that is not completed ends after ten minutes', async (t) => {
  const seen = new FlowFixture()
  seen.world.api.authorize = AUTHORIZE
  seen.flow.start(DRIVE, null)
  await seen.world.clock.advance(11 * 60_000)
  t.equal(seen.flow.task.problem?.code, 'LOGIN_EXPIRED')
})

t.test('fields are validated, sent, and preserved if the server refuses them', async (t) => {
  const seen = new FlowFixture()
  const { flow, world } = seen
  flow.start(S3, null)
  await flow.submit({ ...flow.values, bucket: 'X' })
  t.same(Object.keys(flow.fieldErrors), ['endpoint', 'bucket', 'secretAccessKey'])
  const values = { ...flow.values, endpoint: 'https://x', bucket: 'bucket', secretAccessKey: 'k' }
  world.api.connect = async () => {
    throw new PickerProblem('INVALID_CREDENTIALS', { status: 400, detail: 'The field "bucket" names nothing.' })
  }
  await flow.submit(values)
  t.same(flow.fieldErrors, { bucket: { text: 'The field "bucket" names nothing.' } })
  t.equal(flow.values['bucket'], 'bucket')
  world.api.connect = async () => connectionTo('s3')
  await flow.submit(values)
  t.equal(seen.connected.length, 1)
  t.same(flow.values, {}, 'no secret is stored')
})

t.test('a landing page identifies the login that it ends', async (t) => {
  t.equal(landingUrl('/l', 'x'), '/l?flow=x')
  t.equal(landingUrl('/l?a=b#c', 'x'), '/l?a=b&flow=x#c')
})
