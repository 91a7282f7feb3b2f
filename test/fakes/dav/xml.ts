import { SaxesParser } from 'saxes'
import { DavMistake } from './failure.ts'

export const DAV = 'DAV:'

export interface QName {
  readonly namespace: string
  readonly name: string
}

/** The request of a PROPFIND: names, `allprop`, or `propname`. */
export type PropfindRequest = readonly QName[] | 'allprop' | 'propname'

/** Properties by namespace and name, separated by a space. Values are XML; `D:` stands for the actual prefix. */
export type Properties = ReadonlyMap<string, string>

export interface MultistatusStyle {
  /** Empty for the default namespace; `mixed` for two prefixes of the same namespace, as with Apache. */
  readonly prefix: string
  /** The 404 before the 200, which is split in two. */
  readonly notFoundFirst: boolean
}

/** Parses the body of a PROPFIND. */
export function parsePropfind(body: Buffer): PropfindRequest {
  // RFC 4918, 9.1: a request without a body means `allprop`.
  if (body.length === 0) return 'allprop'
  const text = body.toString()
  if (!body.equals(Buffer.from(text))) throw new DavMistake(400, 'a body that is not UTF-8')
  if (text.includes('<!')) throw new DavMistake(400, 'a body with a document type, a comment or CDATA')
  const root = parseXml(text)
  if (!isDav(root, 'propfind')) throw new DavMistake(400, 'no propfind')
  const [kind, ...others] = root.children
  if (kind === undefined || others.length > 0) throw new DavMistake(400, 'not one kind of propfind')
  if (isDav(kind, 'allprop')) return 'allprop'
  if (isDav(kind, 'propname')) return 'propname'
  if (!isDav(kind, 'prop')) throw new DavMistake(400, `a propfind of ${kind.name}`)
  const properties = kind.children
  const keys = properties.map(keyOf)
  if (properties.length === 0 || new Set(keys).size < keys.length)
    throw new DavMistake(400, 'no property, or one twice')
  return properties
}

interface Element extends QName {
  readonly children: Element[]
}

/** Returns the root of a document. Text and attributes are dropped. */
function parseXml(text: string): Element {
  const document: Element = { namespace: '', name: '', children: [] }
  const open = [document]
  let withoutNamespace: string | undefined
  const parser = new SaxesParser({ xmlns: true })
  parser.on('error', () => {
    throw new DavMistake(400, 'a body that is not well-formed')
  })
  parser.on('opentag', ({ uri, local }) => {
    if (uri === '') withoutNamespace ??= local
    const element = { namespace: uri, name: local, children: [] }
    open.at(-1)!.children.push(element)
    open.push(element)
  })
  parser.on('closetag', () => {
    open.pop()
  })
  parser.write(text).close()
  if (withoutNamespace !== undefined) throw new DavMistake(400, `${withoutNamespace} in no namespace`)
  // A document without a root is not well-formed.
  return document.children[0]!
}

function isDav(element: QName, name: string): boolean {
  return element.namespace === DAV && element.name === name
}

export function keyOf({ namespace, name }: QName): string {
  return `${namespace} ${name}`
}

/** Returns one `response` with its own namespace declarations, so that a later multistatus can reuse it. */
export function responseXml(
  href: string,
  properties: Properties,
  requested: PropfindRequest,
  style: MultistatusStyle
): string {
  const { dav, property } = prefixesOf(style)
  const all = [...properties.keys()]
  const wanted = typeof requested === 'string' ? all : requested.map(keyOf)
  const renderProperty = (key: string, index: number) => {
    const [namespace = '', name = ''] = key.split(' ')
    const isDavProperty = namespace === DAV
    const tag = isDavProperty ? `${property}${name}` : `x${index}:${name}`
    const declaration = isDavProperty ? '' : ` xmlns:x${index}="${escapeXml(namespace)}"`
    const value = requested === 'propname' ? '' : (properties.get(key) ?? '').replaceAll(/(<\/?)D:/g, `$1${dav}`)
    return value === '' ? `<${tag}${declaration}/>` : `<${tag}${declaration}>${value}</${tag}>`
  }
  const propstat = (keys: readonly string[], status: string) =>
    keys.length === 0
      ? ''
      : `<${dav}propstat><${dav}prop>${keys.map(renderProperty).join('')}</${dav}prop>` +
        `<${dav}status>HTTP/1.1 ${status}</${dav}status></${dav}propstat>`
  const found = wanted.filter((key) => properties.has(key))
  const missing = propstat(
    wanted.filter((key) => !properties.has(key)),
    '404 Not Found'
  )
  const half = Math.ceil(found.length / 2)
  const halves = [found.slice(0, half), found.slice(half)].map((keys) => propstat(keys, '200 OK')).join('')
  const complete = propstat(found, '200 OK') + missing
  const declaration = style.prefix === 'mixed' ? ' xmlns:lp1="DAV:"' : ''
  return (
    `<${dav}response${declaration}><${dav}href>${escapeXml(href)}</${dav}href>` +
    `${style.notFoundFirst ? missing + halves : complete}</${dav}response>`
  )
}

export function multistatusXml(responses: readonly string[], style: MultistatusStyle): string {
  const { dav } = prefixesOf(style)
  const declaration = dav === '' ? 'xmlns' : `xmlns:${dav.slice(0, -1)}`
  return (
    '<?xml version="1.0" encoding="utf-8"?>\n' +
    `<${dav}multistatus ${declaration}="DAV:">${responses.join('\n')}</${dav}multistatus>`
  )
}

function prefixesOf({ prefix }: MultistatusStyle): { dav: string; property: string } {
  if (prefix === 'mixed') return { dav: 'D:', property: 'lp1:' }
  const dav = prefix === '' ? '' : `${prefix}:`
  return { dav, property: dav }
}

export function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
