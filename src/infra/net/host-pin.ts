/** Whether both lead to the same scheme, host and port. */
export function isSameOrigin(a: URL, b: URL): boolean {
  return a.origin === b.origin && a.origin !== 'null'
}

/** Whether one is http and the other https, at the same host. Proxies that do not pass on the scheme cause it. */
export function isOtherScheme(a: URL, b: URL): boolean {
  const isHttp = (url: URL): boolean => url.protocol === 'http:' || url.protocol === 'https:'
  return isHttp(a) && isHttp(b) && a.hostname === b.hostname && a.protocol !== b.protocol
}

/**
 * Whether a URL from outside stays at the hosts that a provider declares: https, the default port, and a host that is
 * listed (`content.example.org`) or lies below a listed one (`*.example.org`).
 */
export function isAtDeclaredHost(url: URL, hosts: readonly string[]): boolean {
  if (url.protocol !== 'https:' || url.port !== '' || url.username !== '' || url.password !== '') return false
  return hosts.some((host) => (host.startsWith('*.') ? url.hostname.endsWith(host.slice(1)) : url.hostname === host))
}
