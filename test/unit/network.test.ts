import { networkOf } from '../../broker/domain/network.js'

test.each([
  ['192.0.2.1', '192.0.2.1'], ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'], ['2001:db8::1', '2001:db8:0:0'], ['2001:db8:0:0:1::', '2001:db8:0:0'], ['::1', '0:0:0:0'],
  ['2001:db8:1:2::', '2001:db8:1:2'], ['1:2:3::4:5:6:7', '1:2:3:0'], ['fe80::1%eth0', 'fe80:0:0:0'], ['::', '0:0:0:0'], ['', '']
])('of %s the network is %s', (address, network) => { expect(networkOf(address)).toBe(network) })
