// A version of Node.js that moved the private member by which a process binds a port for others.
require('node:net')._createServerHandle = undefined;
