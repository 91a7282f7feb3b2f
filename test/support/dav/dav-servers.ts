import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { freePort, hasProgram, startDaemon } from '../process/daemon.ts'
import { newServedFolder, type ServedFolder, SERVER_USER } from '../backend/served-folder.ts'

/** A WebDAV server over one folder, behind Basic. Stops at teardown. */
export interface RunningDav extends Pick<ServedFolder, 'folder' | 'seed'> {
  /** Ends with a slash. */
  readonly url: string
  readonly username: string
  readonly password: string
}

const ACCOUNT = { username: 'dav-user', password: 'dav: password' }
const NGINX_MODULE = ['/usr/lib/nginx/modules', '/usr/lib64/nginx/modules', '/usr/share/nginx/modules']
  .map((folder) => join(folder, 'ngx_http_dav_ext_module.so'))
  .find((file) => existsSync(file))
const LIGHTTPD_MODULE = ['/usr/lib/lighttpd', '/usr/lib64/lighttpd']
  .map((folder) => join(folder, 'mod_webdav.so'))
  .find((file) => existsSync(file))

/** Returns whether Debian's `nginx-light` and `libnginx-mod-http-dav-ext` are installed. */
export function hasNginxDav(): boolean {
  return hasProgram('nginx') && NGINX_MODULE !== undefined
}

/** Returns whether Debian's `lighttpd` and `lighttpd-mod-webdav` are installed. */
export function hasLighttpdDav(): boolean {
  return hasProgram('lighttpd') && LIGHTTPD_MODULE !== undefined
}

export interface NginxOptions {
  /** `create_full_put_path`: a PUT creates the parent folders. */
  readonly makesParents?: boolean
  /** The methods besides PROPFIND and OPTIONS. */
  readonly methods?: string
}

/** Starts nginx with dav-ext. */
export async function startNginxDav(
  t: Test,
  { makesParents = false, methods = 'PUT DELETE MKCOL COPY MOVE' }: NginxOptions = {}
): Promise<RunningDav> {
  const served = await newServedFolder(t, 'nginx-dav')
  const { home, folder, isRoot } = served
  const port = await freePort()
  await writePasswords(served)
  await served.write(
    'nginx.conf',
    `load_module ${NGINX_MODULE};
${isRoot ? `user ${SERVER_USER};` : ''}
daemon off;
worker_processes 1;
pid ${home}/pid;
error_log ${home}/log;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path ${home}/tmp/body;
  proxy_temp_path ${home}/tmp/proxy;
  fastcgi_temp_path ${home}/tmp/fastcgi;
  uwsgi_temp_path ${home}/tmp/uwsgi;
  scgi_temp_path ${home}/tmp/scgi;
  client_max_body_size 0;
  server {
    listen 127.0.0.1:${port};
    root ${folder};
    location / {
      auth_basic dav;
      auth_basic_user_file ${home}/passwords;
      dav_methods ${methods};
      dav_ext_methods PROPFIND OPTIONS;
      create_full_put_path ${makesParents ? 'on' : 'off'};
    }
  }
}
`
  )
  const log = join(home, 'log')
  await startDaemon(t, { command: ['nginx', '-e', log, '-c', join(home, 'nginx.conf')], env: {}, port, log })
  return { url: `http://127.0.0.1:${port}/`, ...ACCOUNT, folder, seed: served.seed }
}

/** Starts lighttpd with mod_webdav. */
export async function startLighttpdDav(t: Test): Promise<RunningDav> {
  const served = await newServedFolder(t, 'lighttpd-dav')
  const { home, folder, isRoot } = served
  const port = await freePort()
  await writePasswords(served)
  await served.write(
    'lighttpd.conf',
    `server.modules = ("mod_auth", "mod_authn_file", "mod_webdav")
server.document-root = "${folder}"
server.bind = "127.0.0.1"
server.port = ${port}
server.errorlog = "${home}/log"
server.upload-dirs = ("${home}/tmp")
${isRoot ? `server.username = "${SERVER_USER}"\nserver.groupname = "${SERVER_USER}"` : ''}
auth.backend = "htpasswd"
auth.backend.htpasswd.userfile = "${home}/passwords"
auth.require = ("/" => ("method" => "basic", "realm" => "dav", "require" => "valid-user"))
webdav.activate = "enable"
webdav.is-readonly = "disable"
webdav.sqlite-db-name = "${home}/tmp/locks.db"
# Without a type it answers a GET with none.
mimetype.assign = ("" => "application/octet-stream")
`
  )
  const command = ['lighttpd', '-D', '-f', join(home, 'lighttpd.conf')] as const
  await startDaemon(t, { command, env: {}, port, log: join(home, 'log') })
  return { url: `http://127.0.0.1:${port}/`, ...ACCOUNT, folder, seed: served.seed }
}

/** Starts rclone's own WebDAV server. It writes a PUT in place. */
export async function startRcloneDav(t: Test): Promise<RunningDav> {
  const served = await newServedFolder(t, 'rclone-dav', { isOwned: false })
  const { home, folder } = served
  const port = await freePort()
  await served.write('rclone.conf', '')
  const { username, password } = ACCOUNT
  await startDaemon(t, {
    command: ['rclone', 'serve', 'webdav', folder, '--addr', `127.0.0.1:${port}`, '--vfs-cache-mode', 'writes'],
    env: {
      HOME: home,
      RCLONE_CONFIG: join(home, 'rclone.conf'),
      RCLONE_CACHE_DIR: join(home, 'cache'),
      // Files that a test writes into the folder itself are visible at once.
      RCLONE_DIR_CACHE_TIME: '0s',
      RCLONE_ETAG_HASH: 'auto',
      RCLONE_USER: username,
      RCLONE_PASS: password
    },
    port,
    log: join(home, 'log')
  })
  return { url: `http://127.0.0.1:${port}/`, ...ACCOUNT, folder, seed: served.seed }
}

async function writePasswords({ write }: ServedFolder): Promise<void> {
  const hash = createHash('sha1').update(ACCOUNT.password).digest('base64')
  await write('passwords', `${ACCOUNT.username}:{SHA}${hash}\n`)
}
