import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { GOOGLE_ACCOUNT } from '../../demo/clouds/google.ts'
import { LONG_FOLDER } from '../../demo/content/drive.ts'
import { readForms } from '../fakes/google/emulate-page.ts'
import { compiledUrl } from '../support/source/compiled.ts'
import { DemoUser } from '../support/app/demo-user.ts'
import { startProgram, type StartedProgram } from '../support/process/start-program.ts'
import { until } from '../support/time/until.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

const NPM = ['npm', 'run', 'demo'] as const
/** The command that npm runs. */
const RUN_BY_NPM = ['node', '--import', 'tsx', 'demo/main.ts'] as const
/** The same program compiled, which starts faster. */
const PROGRAM = [process.execPath, fileURLToPath(compiledUrl('demo/main.ts'))] as const

/** Starts the demo with an environment of only PATH and the given variables. */
function start(
  t: Test,
  env: Record<string, string>,
  command: readonly [string, ...string[]] = PROGRAM
): StartedProgram {
  const { PATH = '', HOME = '' } = process.env
  return startProgram(t, command, {
    cwd: ROOT,
    env: { PATH, HOME, npm_config_update_notifier: 'false', ...env },
    detached: true,
    readyText: 'The link again:'
  })
}

/** Returns the process IDs of a group: npm and its descendants. A compiler process outlives its parent briefly. */
function groupOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((each) => {
      try {
        // After the name, which may contain any characters: state, parent, group.
        const [, , group] = readFileSync(`/proc/${each}/stat`, 'utf8')
          .replace(/^.*\) /s, '')
          .split(' ')
        return Number(group) === pid
      } catch {
        return false
      }
    })
}

/** Returns the program itself, started by npm and its shell. */
function programOf(group: number): number {
  const running = groupOf(group).find(
    (pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1).join(' ') === RUN_BY_NPM.join(' ')
  )
  if (running === undefined) throw new Error('the program does not run')
  return running
}

/** Returns the addresses at which a process listens, in Linux's format: `0100007F:1F90`. */
function listenersOf(pid: number): string[] {
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? []
      } catch {
        return []
      }
    })
  )
  return ['/proc/net/tcp', '/proc/net/tcp6']
    .filter((table) => existsSync(table))
    .flatMap((table) => readFileSync(table, 'utf8').trim().split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode = '']) => state === '0A' && inodes.has(inode))
    .map(([, local = '']) => local)
}

const linkIn = (out: string, pattern: RegExp): string => pattern.exec(out)?.[1] ?? ''

const folderIn = (out: string): string => linkIn(out, /(\/\S*cloud-storage-demo-\w+)/)

t.test('the printed steps work: three clouds, access revoked and granted again; SIGINT ends everything', async (t) => {
  const demo = start(t, { PORT: '0' }, NPM)
  await demo.ready
  const out = demo.stdout()
  const page = new URL(linkIn(out, /^Open this link \(Ctrl-click\):\n\n {2}(\S+)$/m))
  const user = new DemoUser({ url: page.origin, token: page.hash.replace('#token=', '') })
  t.equal((await user.list('s3')).status, 200)

  const login = {
    baseUrl: linkIn(out, /Address +(\S+)/),
    username: linkIn(out, /User name +(.+)/),
    password: linkIn(out, /Password +(.+)/)
  }
  t.equal((await user.connect('webdav', login)).status, 201)
  t.ok((await user.listAll('webdav')).length > 3)

  const connect = async (): Promise<number> => {
    const { authorizationUrl, cookie } = await user.authorizeGoogle()
    const form = readForms(await (await fetch(authorizationUrl)).text()).find(
      ({ fields }) => fields.get('email') === GOOGLE_ACCOUNT.email
    )!
    const asked = { method: 'POST', body: form.fields, redirect: 'manual' } as const
    const agreed = await fetch(new URL(form.action, authorizationUrl), asked)
    const callback = agreed.headers.get('location') ?? ''
    return (await fetch(callback, { headers: { cookie }, redirect: 'manual' })).status
  }
  t.equal(await connect(), 303)
  t.equal((await user.listAll('google_drive', { folder: LONG_FOLDER.id, limit: '1000' })).length, LONG_FOLDER.entries)

  const controls = linkIn(out, /^ {2}(http:\/\/127\.0\.0\.1:\d+\/)$/m)
  const { origin } = new URL(controls)
  const buttons = readForms(await (await fetch(controls)).text()).map(({ action }) => action)
  t.ok(buttons.includes('/take-access-away'))
  await fetch(new URL('/take-access-away', controls), { method: 'POST', headers: { origin } })
  t.equal((await user.list('google_drive', { refresh: 'true' })).status, 503)
  t.equal(await connect(), 303)
  t.equal((await user.list('google_drive', { refresh: 'true' })).status, 200)

  const processes = groupOf(demo.pid)
  const listeners = processes.flatMap(listenersOf)
  // The server, the store, WebDAV, Drive and its contents, the front of the tokens, the controls; and `emulate`.
  t.equal(listeners.length, 8)
  for (const local of listeners) t.match(local, /^(?:0100007F|7F000001):/, 'on loopback only')

  const folder = folderIn(out)
  t.ok(existsSync(folder))
  t.ok(processes.length > 2, 'npm, the demo, emulate')
  process.kill(programOf(demo.pid), 'SIGINT')
  t.equal(await demo.exited, 0)
  await until(() => groupOf(demo.pid).length === 0)
  t.notOk(existsSync(folder))
  t.notMatch(demo.stderr(), /Note:|cannot go on/)
  t.equal(demo.stdout(), out, 'no output after the link')
  t.match(out, /#token=\S+\s*$/, 'the link is printed last')
  t.notMatch(out, /gzipped|prestart|predemo/)
})

t.test('Ctrl-C, which reaches each process of a terminal, ends it too', async (t) => {
  const demo = start(t, { PORT: '0' })
  await demo.ready
  const folder = folderIn(demo.stdout())
  t.ok(existsSync(folder))
  demo.signal('SIGINT')
  t.equal(await demo.exited, 0)
  await until(() => groupOf(demo.pid).length === 0)
  t.notOk(existsSync(folder))
  t.equal(demo.stderr(), '')
})

t.test('a port in use is named before anything is prepared', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const port = String((other.address() as AddressInfo).port)
  const demo = start(t, { PORT: port })
  t.equal(await demo.exited, 1)
  t.match(demo.stderr(), `PORT ${port} on 127.0.0.1 is in use by another process: set another PORT`)
  t.notMatch(demo.stderr(), /^ {4}at /m, 'no stack trace')
  t.equal(demo.stdout(), '')
})

t.test('the demo does not start in production', async (t) => {
  const demo = start(t, { NODE_ENV: 'production' })
  t.equal(await demo.exited, 1)
  t.match(demo.stderr(), 'NODE_ENV is "production"')
  t.notMatch(demo.stdout(), 'Preparing')
})
