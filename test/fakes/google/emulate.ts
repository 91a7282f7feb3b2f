import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Lifetime } from '../lifetime.ts'
import { readForms } from './emulate-page.ts'
import { emulatorOptions, GOOGLE_CLIENT, GOOGLE_USERS, type GoogleSeed } from './emulate-seed.ts'

const PROGRAM = fileURLToPath(new URL('emulate-process.mjs', import.meta.url))
const FORM = 'application/x-www-form-urlencoded'

/**
 * Google as emulated by the package `emulate`, an independent implementation of OAuth and a small Drive. It is lax:
 * it requires no PKCE, checks no scopes, always issues a refresh token, and its Drive accepts any bearer token.
 */
export class EmulatedGoogle {
  readonly url: string
  readonly authorizationEndpoint: string
  readonly tokenEndpoint: string
  readonly revocationEndpoint: string

  private constructor(url: string) {
    this.url = url
    this.authorizationEndpoint = `${url}/o/oauth2/v2/auth`
    this.tokenEndpoint = `${url}/oauth2/token`
    this.revocationEndpoint = `${url}/oauth2/revoke`
  }

  /** Starts it in a process of its own, on 127.0.0.1 only. Stops with `t`. */
  static async start(t: Lifetime, seed: GoogleSeed = {}): Promise<EmulatedGoogle> {
    const child = fork(PROGRAM, [JSON.stringify(emulatorOptions(seed))], { execArgv: [] })
    const exited = once(child, 'exit')
    t.teardown(async () => {
      child.kill()
      await exited
    })
    const [address] = (await Promise.race([once(child, 'message'), exited])) as [AddressInfo | number]
    if (typeof address !== 'object') throw new Error(`emulate ended with ${address}`)
    assertLoopback(address)
    const google = new EmulatedGoogle(`http://127.0.0.1:${address.port}`)
    const response = await fetch(`${google.url}/.well-known/openid-configuration`)
    if (!response.ok) throw new Error(`emulate answers ${response.status}`)
    await response.text()
    return google
  }

  /** Simulates the user's browser: opens the page and chooses an account. Returns the callback URL. */
  async consent(authorizationUrl: string, email: string = GOOGLE_USERS[0].email): Promise<URL> {
    if (!authorizationUrl.startsWith(`${this.authorizationEndpoint}?`)) {
      throw new Error(`an authorization URL at ${authorizationUrl}`)
    }
    const page = await fetch(authorizationUrl)
    const html = await page.text()
    if (page.status !== 200) throw new Error(`the user sees ${page.status}: ${html}`)
    const form = readForms(html).find(({ fields }) => fields.get('email') === email)
    if (form === undefined) throw new Error(`the page knows no ${email}`)
    const submitted = await fetch(new URL(form.action, authorizationUrl), {
      method: 'POST',
      body: form.fields,
      redirect: 'manual'
    })
    await submitted.text()
    const location = submitted.headers.get('location')
    if (submitted.status !== 302 || location === null)
      throw new Error(`the consent was answered with ${submitted.status}`)
    return new URL(location)
  }

  /** Simulates the user's removal of the application from the account. */
  async removeApplication(refreshToken: string): Promise<void> {
    if (!(await this.isGrantActive(refreshToken))) throw new Error('there is no such grant any more')
    const token = new URLSearchParams({ token: refreshToken })
    await fetch(this.revocationEndpoint, { method: 'POST', headers: { 'content-type': FORM }, body: token })
  }

  /** Returns whether a refresh token still works. */
  async isGrantActive(refreshToken: string): Promise<boolean> {
    const { clientId: client_id, clientSecret: client_secret } = GOOGLE_CLIENT
    const form = { grant_type: 'refresh_token', refresh_token: refreshToken, client_id, client_secret }
    const response = await fetch(this.tokenEndpoint, { method: 'POST', body: new URLSearchParams(form) })
    const { error } = (await response.json()) as { error?: string }
    if (response.status !== 200 && error !== 'invalid_grant') throw new Error(`the token endpoint says ${error}`)
    return response.status === 200
  }
}

const LISTEN = '0A'
/** 127.0.0.1 as Linux formats it on machines of either byte order. */
const LOOPBACK = ['0100007F', '7F000001']

/** Checks the socket's own address, and the system's table of listening ports. */
function assertLoopback({ address, port }: AddressInfo): void {
  const bound = ['/proc/net/tcp', '/proc/net/tcp6']
    .filter((table) => existsSync(table))
    .flatMap((table) => readFileSync(table, 'utf8').trim().split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = '', , state]) => state === LISTEN && Number.parseInt(local.split(':')[1] ?? '', 16) === port)
    .map(([, local = '']) => local.split(':')[0] ?? '')
  const isExposed = address !== '127.0.0.1' || bound.some((host) => !LOOPBACK.includes(host))
  const isNotListed = existsSync('/proc/net/tcp') && bound.length === 0
  if (isExposed || isNotListed)
    throw new Error(`emulate listens on ${address} (${bound.join(', ')}), not on loopback alone`)
}
