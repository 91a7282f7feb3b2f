import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Test } from 'tap'
import { acceptsConnections, freePort, hasProgram } from '../process/daemon.ts'

export interface RunningRgw {
  readonly endpoint: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** A user without buckets. Bucket policies grant it access as `arn:aws:iam:::user/guest`. */
export const GUEST = { uid: 'guest', accessKeyId: 'AKGUEST', secretAccessKey: 'SKGUEST' } as const

const PROGRAMS = ['ceph', 'ceph-mon', 'ceph-osd', 'monmaptool', 'radosgw', 'radosgw-admin']
const STOP_MS = 10_000

/** Returns whether Debian's `radosgw`, `ceph-mon` and `ceph-osd` are installed. */
export function hasCephRgw(): boolean {
  return PROGRAMS.every(hasProgram)
}

/** Monitors and gateways sometimes fail to start on a loaded machine (seen in CI), so starting is retried. */
const ATTEMPTS = 3

/**
 * Starts the smallest Ceph that serves S3: one monitor, one storage daemon that stores everything in memory, and the
 * gateway, on free ports of 127.0.0.1 and in a temporary folder. Takes about 15 seconds. Stops at teardown.
 */
export async function startCephRgw(t: Test): Promise<RunningRgw> {
  for (let attempt = 1; ; attempt++) {
    const cleanups: (() => Promise<unknown>)[] = []
    const stop = async () => {
      for (const step of cleanups.reverse()) await step()
    }
    try {
      const running = await startOnce(cleanups)
      t.teardown(stop)
      return running
    } catch (error) {
      await stop()
      if (attempt === ATTEMPTS) throw error
      t.comment(`Ceph did not start: ${String(error)}`)
    }
  }
}

async function startOnce(cleanups: (() => Promise<unknown>)[]): Promise<RunningRgw> {
  const folder = await mkdtemp(join(tmpdir(), 'ceph-rgw-'))
  cleanups.push(() => rm(folder, { recursive: true, force: true }))
  const startChild = (program: string, ...args: string[]) => {
    const child = spawn(program, args, { stdio: 'ignore' })
    cleanups.push(() => stopProcess(child))
    return child
  }
  for (const name of ['mon', 'osd', 'run']) await mkdir(join(folder, name))
  const [monPort, rgwPort] = await Promise.all([freePort(), freePort()])
  const cluster = { folder, id: randomUUID(), monitor: `127.0.0.1:${monPort}`, rgwPort }
  const config = join(folder, 'ceph.conf')
  await writeFile(config, renderConfig(cluster))
  const keys = { accessKeyId: 'AKCONTRACT', secretAccessKey: 'SKCONTRACT' }
  const ceph = (...args: string[]) => run('ceph', '-c', config, '--connect-timeout', '30', ...args)

  const monmap = join(folder, 'monmap')
  const address = `v1:${cluster.monitor}`
  await run('monmaptool', '--create', '--fsid', cluster.id, '--addv', 'a', `[${address}]`, monmap)
  await run('ceph-mon', '-c', config, '--mkfs', '-i', 'a', '--monmap', monmap)
  startChild('ceph-mon', '-c', config, '-f', '-i', 'a', '--public-addr', address)

  const osd = randomUUID()
  await ceph('osd', 'new', osd, '0')
  await run('ceph-osd', '-c', config, '-i', '0', '--mkfs', '--osd-uuid', osd)
  await ceph('osd', 'crush', 'add', 'osd.0', '1.0', 'root=default', 'host=localhost')
  startChild('ceph-osd', '-c', config, '-f', '-i', '0')

  for (const { uid, accessKeyId, secretAccessKey } of [{ uid: 'contract', ...keys }, GUEST]) {
    const user = ['--uid', uid, '--display-name', uid, '--access-key', accessKeyId, '--secret-key', secretAccessKey]
    await run('radosgw-admin', '-c', config, '-n', 'client.rgw', 'user', 'create', ...user)
  }
  await waitForPort(rgwPort, startChild('radosgw', '-c', config, '-f', '-n', 'client.rgw'))
  return { endpoint: `http://127.0.0.1:${rgwPort}`, ...keys }
}

interface Cluster {
  readonly folder: string
  readonly id: string
  readonly monitor: string
  readonly rgwPort: number
}

function renderConfig({ folder, id, monitor, rgwPort }: Cluster): string {
  return `
[global]
fsid = ${id}
mon host = v1:${monitor}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv4 = true
ms bind ipv6 = false
auth cluster required = none
auth service required = none
auth client required = none
mon allow pool size one = true
mon warn on pool no redundancy = false
mon cluster log to file = false
mon data avail crit = 1
mon max pg per osd = 1000
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd crush chooseleaf type = 0
osd crush update on start = false
osd class update on start = false
osd class load list = *
osd class default list = *
osd objectstore = memstore
memstore device bytes = 1073741824
run dir = ${folder}/run
crash dir = ${folder}/run
admin socket = ${folder}/run/$name.asok
log file = ${folder}/run/$name.log
mon data = ${folder}/mon
osd data = ${folder}/osd
[client.rgw]
rgw data = ${folder}/run
rgw frontends = beast endpoint=127.0.0.1:${rgwPort}
rgw dns name = localhost
rgw enable usage log = false
rgw thread pool size = 64
`
}

/** Stops only the given child process, by its PID. */
async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const killCancellation = new AbortController()
  const killTimer = setTimeout(STOP_MS, undefined, { signal: killCancellation.signal }).then(
    () => child.kill('SIGKILL'),
    () => {}
  )
  await exited
  killCancellation.abort()
  await killTimer
}

async function run(program: string, ...args: string[]): Promise<void> {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${stderr}`)
}

async function waitForPort(port: number, child: ChildProcess): Promise<void> {
  while (child.exitCode === null) {
    if (await acceptsConnections(port)) return
    await setTimeout(50)
  }
  throw new Error(`the process ended with ${child.exitCode}`)
}
