import { alternativeNames } from '../../broker/mqtt/client-certificate.js'

test.each([
  ['', []],
  ['DNS:a.example', ['a.example']],
  ['DNS:a.example, email:a@b.example, URI:urn:x:y, IP Address:0:0:0:0:0:0:0:1, Registered ID:1.2', ['a.example', 'a@b.example', 'urn:x:y']],
  ['URI:"http://x/?a=\\"b\\", DNS:admin", DNS:c', ['http://x/?a="b", DNS:admin', 'c']],
  ['DirName:"CN=x, DNS:admin", DNS:c', ['c']],
  // of no form that is known: it might read like another name
  ['DirName:CN=x, y, DNS:admin', []],
  ['DNS:a"b, DNS:c', []],
  ['DNS:"a', []],
  [', DNS:a', []]
])('%j holds %j', (text, names) => { expect(alternativeNames(text)).toEqual(names) })
