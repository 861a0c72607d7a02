throw new AggregateError(['::1', '127.0.0.1'].map((address) => new Error(`connect ECONNREFUSED ${address}:1`)));
