const CLIENT_DISCONNECTS = 'the client disconnects in the middle'
const CHUNK_TIMING = 'the test depends on when the chunks of a body arrive, and Prism passes on whole bodies'
const TRUNCATED = 'the response is truncated, so there is none to check'
const RAW_SOCKET = 'the test uses its own socket and checks connections'
const REQUEST_TIMING = 'the test depends on the time between requests, and Prism adds latency'
const PARENT_SPAN = 'the parent span is in this process, and a proxy does not pass it on'

/** Tests that cannot run through the Prism proxy, by the beginning of their names, with the reason. */
const EXCLUSIONS: Readonly<Record<string, string>> = {
  'fifty cold reads share the call of the first client': CLIENT_DISCONNECTS,
  'the call upstream is aborted when all clients have disconnected': CLIENT_DISCONNECTS,
  'a client that disconnects while its credentials are checked': CLIENT_DISCONNECTS,
  'a browser that disconnects while its code is exchanged': CLIENT_DISCONNECTS,
  'a client that disconnects in the middle': CLIENT_DISCONNECTS,
  'an upload aborted in the middle': CLIENT_DISCONNECTS,
  'a client that disconnects closes the upstream': CLIENT_DISCONNECTS,
  'a client that disconnects before the body begins': CLIENT_DISCONNECTS,
  'an aborted upload changes neither the document nor the store': CLIENT_DISCONNECTS,
  'a page of another site changes nothing, and its body is not read': CHUNK_TIMING,
  'a closing host completes uploads in flight': CHUNK_TIMING,
  'a provider that does not read makes the client wait': CHUNK_TIMING,
  'a client that does not read makes the upstream wait': CHUNK_TIMING,
  'an upload of more than maxBytes answers 413, declared or streamed': CHUNK_TIMING,
  'the reason for which a body was ended decides the response': CHUNK_TIMING,
  'an upload that stalls': CHUNK_TIMING,
  'a body is streamed, with or without a length': CHUNK_TIMING,
  'of two uploads to one document the one that ends last is stored': CHUNK_TIMING,
  'of two conditional uploads one is refused': CHUNK_TIMING,
  'a document that is removed during an upload': CHUNK_TIMING,
  'an object stays if it is unknown whether the document refers to it': CHUNK_TIMING,
  'the first response is uncompressed, and later responses are compressed': REQUEST_TIMING,
  'a user who opens very many folders at once': REQUEST_TIMING,
  'a load has a span below that of the request': PARENT_SPAN,
  'a token refresh has a span below the call': PARENT_SPAN,
  'only the listed files are served': 'URL parsers normalise a path with dots',
  'without the option transfers the routes do not exist': 'the host responds for missing routes',
  'a broken upstream with framing': TRUNCATED,
  'an upstream with framing': TRUNCATED,
  'an upstream that is reset in the middle': TRUNCATED,
  'removing a connection during a download ends the body': TRUNCATED,
  'a refusal reaches a client that is still sending': RAW_SOCKET,
  'a client that keeps sending a refused body': RAW_SOCKET,
  'a client that never completes its request': RAW_SOCKET,
  'while the server drains, requests in flight complete': RAW_SOCKET,
  'a request that has begun is served, although the server drains': RAW_SOCKET,
  'a request that does not end in time is aborted': RAW_SOCKET,
  'an idle server drains at once': RAW_SOCKET
}

/** Returns why a test is left out, or `undefined`. */
export function prismExclusion(test: string): string | undefined {
  return Object.entries(EXCLUSIONS).find(([prefix]) => test.includes(`> ${prefix}`))?.[1]
}
