import t from 'tap'
import { parseAllowHosts } from '../../../src/infra/net/allow-hosts.ts'
import { EgressRules } from '../../../src/infra/net/egress-rules.ts'

/** What is wrong with an entry, the same for the parser and the rules. */
function messageFor(entry: string): string {
  const messages = [parseAllowHosts, (entries: string[]) => new EgressRules(entries)].map((take) => {
    try {
      take(['nas.lan', entry])
      return 'nothing is wrong'
    } catch (error) {
      return (error as Error).message
    }
  })
  return messages[0] === messages[1] ? messages[0]! : messages.join(' but ')
}

t.test('an entry that cannot be used is named', async (t) => {
  const cases: [string, RegExp][] = [
    ['*.lan', /wildcards/],
    ['*', /wildcards/],
    ['10.0.0.*', /wildcards/],
    ['https://nas.lan', /leave the scheme out/],
    ['10.0.0.0/33', /not an address range/],
    ['10.0.0.0/', /not an address range/],
    ['10.0.0.0/024x', /not an address range/],
    ['10.0.0/24', /not an address range/],
    ['10.0.0.0/255.255.255.0', /not an address range/],
    ['10.0.0.0/24:8443', /not an address range/],
    ['0x0a.0.0.0/8', /not an address range/],
    ['10.0.0.0/8/8', /not an address range/],
    ['fd00::/129', /not an address range/],
    ['fe80::%eth0/10', /not an address range/],
    ['nas.lan/files', /not an address range/],
    ['fe80::1%eth0', /neither host nor host:port/],
    ['1:2:3', /neither host nor host:port/],
    ['[::1', /neither host nor host:port/],
    ['[::1]9000', /neither host nor host:port/],
    ['nas.lan:', /neither host nor host:port/],
    ['nas.lan:http', /neither host nor host:port/],
    ['nas.lan:-1', /neither host nor host:port/],
    ['nas.lan:0', /the port must be/],
    ['nas.lan:65536', /the port must be/],
    ['nas.lan:99999', /the port must be/],
    ['127.1', /unusual way to write an address, write 127\.0\.0\.1/],
    ['2130706433', /write 127\.0\.0\.1/],
    ['0x7f000001:80', /write 127\.0\.0\.1/],
    ['１２７.0.0.1', /write 127\.0\.0\.1/],
    ['127.0.0.1.', /write 127\.0\.0\.1/],
    ['', /not a host/],
    [':80', /not a host/],
    ['.', /not a host/],
    ['a..b', /not a host/],
    ['.lan', /not a host/],
    ['nas.lan..', /not a host/],
    [' nas.lan', /not a host/],
    ['nas.lan\n', /not a host/],
    ['nas .lan', /not a host/],
    ['user@nas.lan', /not a host/],
    ['nas.lan?x', /not a host/],
    ['nas.lan#x', /not a host/],
    ['nas%2elan', /not a host/],
    ['nas\\lan', /not a host/],
    ['[nas.lan]', /not a host/],
    ['[]', /not a host/],
    ['1.2.3.4.5', /not a host/],
    ['nas|lan', /not a host/],
    [`${'a'.repeat(64)}.lan`, /not a host/],
    [`${'a.'.repeat(127)}aa`, /not a host/]
  ]
  for (const [entry, reason] of cases) {
    const message = messageFor(entry)
    t.ok(message.startsWith(`allowHosts: "${entry}" cannot be used: `), JSON.stringify(entry))
    t.match(message, reason)
  }
})

t.test('an entry that is no text is refused', async (t) => {
  for (const entry of [null, undefined, 80, {}] as string[]) {
    t.equal(messageFor(entry), 'allowHosts: every entry must be a string')
  }
})
