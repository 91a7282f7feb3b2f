import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { Test } from 'tap'
import { freePort, hasProgram, startDaemon } from '../process/daemon.ts'
import { newServedFolder, SERVER_USER } from '../backend/served-folder.ts'

export interface RunningApacheDav {
  /** Both end with a slash, like every URL of a collection. */
  readonly basicUrl: string
  readonly digestUrl: string
  readonly username: string
  readonly password: string
  /** The folders on disk. The server may lack permission for files that a test writes there itself: use `seed`. */
  readonly basicFolder: string
  readonly digestFolder: string
  /** Writes a file and its parent folders, owned by the server. `path` is relative to `folder`. */
  seed(folder: string, path: string, content: string | Buffer): Promise<void>
}

const PROGRAM = ['apache2', 'httpd'].find(hasProgram)
/** The module folders of Debian, Red Hat, Alpine and macOS. */
const MODULE_FOLDER = [
  '/usr/lib/apache2/modules',
  '/usr/lib64/httpd/modules',
  '/usr/lib/apache2',
  '/usr/libexec/apache2'
].find((folder) => existsSync(join(folder, 'mod_dav.so')))
/** A module without a file is built in, such as Debian's `unixd`. */
const REQUIRED_MODULES = [
  ['mpm_event', 'unixd', 'authn_core', 'authn_file', 'authz_core', 'authz_user'],
  ['auth_basic', 'auth_digest', 'dav', 'dav_fs', 'dir', 'mime']
].flat()
const REALM = 'dav'

/** Returns whether Apache and its `mod_dav` are installed. */
export function hasApacheDav(): boolean {
  return PROGRAM !== undefined && MODULE_FOLDER !== undefined
}

/** Starts Apache with one folder behind Basic and one behind Digest. Stops it at teardown. */
export async function startApacheDav(t: Test): Promise<RunningApacheDav> {
  if (PROGRAM === undefined || MODULE_FOLDER === undefined) throw new Error('Apache is not installed')
  const {
    home,
    folder: root,
    isRoot,
    write
  } = await newServedFolder(t, 'apache-dav', { subfolders: ['basic', 'digest'] })
  const port = await freePort()
  const account = { username: 'apache-user', password: 'apache: password' }
  const basicFolder = join(root, 'basic')
  const digestFolder = join(root, 'digest')
  const { username, password } = account
  const hash = (algorithm: string, text: string) => createHash(algorithm).update(text)
  const basicEntry = `${username}:{SHA}${hash('sha1', password).digest('base64')}\n`
  const digestEntry = `${username}:${REALM}:${hash('md5', `${username}:${REALM}:${password}`).digest('hex')}\n`
  await write('basic', basicEntry)
  await write('digest', digestEntry)
  await write('mime.types', 'text/plain txt\n')
  await write('httpd.conf', renderConfig(home, port, isRoot))
  await startDaemon(t, {
    command: [PROGRAM, '-f', join(home, 'httpd.conf'), '-DFOREGROUND'],
    env: {},
    port,
    log: join(home, 'log')
  })
  return {
    basicUrl: `http://127.0.0.1:${port}/basic/`,
    digestUrl: `http://127.0.0.1:${port}/digest/`,
    ...account,
    basicFolder,
    digestFolder,
    seed: (folder, path, content) => write(join(relative(home, folder), path), content)
  }
}

function renderConfig(home: string, port: number, asRoot: boolean): string {
  const files = REQUIRED_MODULES.map((name) => ({ name, file: join(MODULE_FOLDER ?? '', `mod_${name}.so`) }))
  const modules = files
    .filter(({ file }) => existsSync(file))
    .map(({ name, file }) => `LoadModule ${name}_module ${file}\n`)
  return `${modules.join('')}
ServerRoot ${home}
ServerName 127.0.0.1
Listen 127.0.0.1:${port}
DefaultRuntimeDir ${home}/tmp
PidFile ${home}/tmp/pid
ErrorLog ${home}/log
DocumentRoot ${home}/files
TypesConfig ${home}/mime.types
${asRoot ? `User ${SERVER_USER}\nGroup ${SERVER_USER}` : ''}
# One process with threads, so that it is up and down at once.
StartServers 1
ServerLimit 1
MaxRequestWorkers 25
DavLockDB ${home}/tmp/locks
DirectoryIndex disabled
<Directory ${home}/files>
  Dav On
  Require valid-user
</Directory>
<Location /basic>
  AuthType Basic
  AuthName ${REALM}
  AuthBasicProvider file
  AuthUserFile ${home}/basic
</Location>
<Location /digest>
  AuthType Digest
  AuthName ${REALM}
  AuthDigestProvider file
  AuthDigestDomain /digest/
  AuthUserFile ${home}/digest
</Location>
`
}
