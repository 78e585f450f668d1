-- A history of version 1, with one pinned entry and one that is kept until someone removes it.
BEGIN TRANSACTION;
CREATE TABLE entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        namespace TEXT NOT NULL,
        key TEXT NOT NULL,
        scenario TEXT NOT NULL,
        protocol TEXT NOT NULL,
        run_id TEXT NOT NULL,
        recorded_unix_ms INTEGER NOT NULL,
        expires_unix_ms INTEGER,
        pinned INTEGER NOT NULL CHECK (pinned IN (0, 1)),
        commit_id TEXT,
        fingerprint TEXT NOT NULL,
        outcome TEXT NOT NULL,
        disturbed INTEGER NOT NULL CHECK (disturbed IN (0, 1)),
        result_schema INTEGER NOT NULL,
        result TEXT NOT NULL,
        CHECK (pinned = 0 OR expires_unix_ms IS NULL)
    ) STRICT;
INSERT INTO "entries" VALUES(1,'default','high_load/raft-rs/channel/memory','high_load','raft-rs','20261121T114500.123Z-quick',1795261560123,NULL,1,'4da0dbb+','0f3a9c21d4e7','completed',0,1,'{"protocol":"raft-rs","implementation":"raft 0.7.0","family":"raft","commit_means":"a majority has the command in its log","scenario":{"name":"high_load","about":"from 10,000 requests/s upwards for as long as requests succeed","replicas":3,"payload_bytes":128,"clients":64,"arrivals":"poisson","timeout_ms":1000.0,"max_in_flight":100000,"seed":1,"network":{"kind":"channel","delay_ms":0.0,"jitter_ms":0.0,"loss":0.0,"duplication":0.0,"bandwidth_bytes_per_s":null,"base_port":null},"storage":"memory","timing":null,"phase":[{"kind":"warm_up","duration_s":0.5,"rate_per_s":10000.0,"ramp":null},{"kind":"steady","duration_s":3.0,"rate_per_s":10000.0,"ramp":{"increment_per_s":2500.0,"interval_s":0.25}}]},"settings":{"max_batch":64.0},"timing":{"heartbeat_ms":50.0,"election_min_ms":150.0,"election_max_ms":300.0},"outcome":{"status":"completed"},"disturbed":[],"safety":{"checked":true,"violations":[],"submitted":77123,"acknowledged":77120,"applied":77123,"duplicates":0,"replicas":3},"metrics":[{"name":"throughput_per_s","value":24040.0,"lower":23730.5,"upper":24311.2,"unit":"1/s","better":"higher","class":"wall","n":12},{"name":"response_ns_p50","value":41215.0,"lower":40100.0,"upper":42300.0,"unit":"ns","better":"lower","class":"wall","n":72120},{"name":"response_ns_p95","value":88063.0,"lower":84000.0,"upper":95103.0,"unit":"ns","better":"lower","class":"wall","n":72120},{"name":"response_ns_p99","value":151551.0,"lower":139000.0,"upper":214000.0,"unit":"ns","better":"lower","class":"wall","n":72120},{"name":"response_ns_p999","value":1204223.0,"lower":610000.0,"upper":3100000.0,"unit":"ns","better":"lower","class":"wall","n":72120},{"name":"service_ns_p50","value":22047.0,"lower":21600.0,"upper":22800.0,"unit":"ns","better":"lower","class":"wall","n":72120},{"name":"service_ns_p99","value":97023.0,"lower":91000.0,"upper":121000.0,"unit":"ns","better":"lower","class":"wall","n":72120},{"name":"queue_delay_ns_p99","value":61023.0,"lower":55000.0,"upper":90000.0,"unit":"ns","better":"lower","class":"wall","n":72120},{"name":"success_ratio","value":0.99996,"lower":0.9999,"upper":1.0,"unit":"1","better":"higher","class":"wall","n":72120},{"name":"messages_per_commit","value":1.1732,"lower":1.1521,"upper":1.1944,"unit":"1","better":"lower","class":"wall","n":12},{"name":"messages_per_commit_over_floor","value":1.021,"lower":1.003,"upper":1.039,"unit":"1","better":"lower","class":"wall","n":12},{"name":"heartbeats_per_s","value":40.0,"lower":null,"upper":null,"unit":"1/s","better":"neither","class":"wall","n":1},{"name":"bytes_per_commit","value":389.6,"lower":386.2,"upper":393.1,"unit":"bytes","better":"lower","class":"wall","n":12},{"name":"cpu_ns_per_commit","value":9120.0,"lower":8983.2,"upper":9275.039999999999,"unit":"ns","better":"lower","class":"cpu","n":12},{"name":"commands_per_proposal","value":3.41,"lower":3.35,"upper":3.48,"unit":"1","better":"neither","class":"wall","n":12},{"name":"messages_per_wake_up","value":1.9,"lower":1.85,"upper":1.97,"unit":"1","better":"neither","class":"wall","n":12},{"name":"lateness_ns_p99","value":31000.0,"lower":null,"upper":null,"unit":"ns","better":"neither","class":"wall","n":72120},{"name":"achieved_over_offered","value":0.9998,"lower":null,"upper":null,"unit":"1","better":"neither","class":"wall","n":12},{"name":"run_delay_ratio","value":0.004,"lower":null,"upper":null,"unit":"1","better":"neither","class":"wall","n":1}],"phases":[{"phase":"warm_up","duration_s":0.5,"intervals":[{"start_s":0.0,"duration_s":0.5,"offered_per_s":10000.0,"sent":5003,"succeeded":5000,"failed":3,"mean_ns":60000.0,"p95_ns":120000,"p99_ns":300031,"p50_ns":0,"cpu_ns":null,"messages":0,"bytes":0,"syncs":0}],"metrics":[],"histograms":{}},{"phase":"steady","duration_s":3.0,"intervals":[{"start_s":0.0,"duration_s":0.25,"offered_per_s":10000.0,"sent":2500,"succeeded":2500,"failed":0,"mean_ns":45120.5,"p95_ns":88063,"p99_ns":151551,"p50_ns":0,"cpu_ns":null,"messages":0,"bytes":0,"syncs":0},{"start_s":0.25,"duration_s":0.25,"offered_per_s":12500.0,"sent":3125,"succeeded":3125,"failed":0,"mean_ns":45121.5,"p95_ns":88064,"p99_ns":151552,"p50_ns":0,"cpu_ns":null,"messages":0,"bytes":0,"syncs":0},{"start_s":0.5,"duration_s":0.25,"offered_per_s":15000.0,"sent":3750,"succeeded":3750,"failed":0,"mean_ns":45122.5,"p95_ns":88065,"p99_ns":151553,"p50_ns":0,"cpu_ns":null,"messages":0,"bytes":0,"syncs":0}],"metrics":[{"name":"throughput_per_s","value":24040.0,"lower":23730.5,"upper":24311.2,"unit":"1/s","better":"higher","class":"wall","n":12},{"name":"response_ns_p50","value":41215.0,"lower":40100.0,"upper":42300.0,"unit":"ns","better":"lower","class":"wall","n":72120}],"histograms":{"response":"high_load.raft-rs.channel-memory.steady.response.hlog"}}],"fsync":null}');
INSERT INTO "entries" VALUES(2,'ci','high_load/openraft/channel/memory','high_load','openraft','20261121T114500.123Z-quick',1795261620123,NULL,0,'4da0dbb+','0f3a9c21d4e7','completed',0,1,'{"protocol":"openraft","implementation":"openraft 0.10.0-alpha.37","family":"raft","commit_means":"a majority has the command in its log","scenario":{"name":"high_load","about":"from 10,000 requests/s upwards for as long as requests succeed","replicas":3,"payload_bytes":128,"clients":64,"arrivals":"poisson","timeout_ms":1000.0,"max_in_flight":100000,"seed":1,"network":{"kind":"channel","delay_ms":0.0,"jitter_ms":0.0,"loss":0.0,"duplication":0.0,"bandwidth_bytes_per_s":null,"base_port":null},"storage":"memory","timing":null,"phase":[{"kind":"warm_up","duration_s":0.5,"rate_per_s":10000.0,"ramp":null},{"kind":"steady","duration_s":3.0,"rate_per_s":10000.0,"ramp":{"increment_per_s":2500.0,"interval_s":0.25}}]},"settings":{},"timing":{"heartbeat_ms":50.0,"election_min_ms":150.0,"election_max_ms":300.0},"outcome":{"status":"completed"},"disturbed":[],"safety":{"checked":true,"violations":[],"submitted":77123,"acknowledged":77120,"applied":77123,"duplicates":0,"replicas":3},"metrics":[{"name":"throughput_per_s","value":12020.0,"lower":11865.25,"upper":12155.6,"unit":"1/s","better":"higher","class":"wall","n":12},{"name":"response_ns_p50","value":82430.0,"lower":80200.0,"upper":84600.0,"unit":"ns","better":"lower","class":"wall","n":72120},{"name":"response_ns_p95","value":176126.0,"lower":168000.0,"upper":190206.0,"unit":"ns","better":"lower","class":"wall","n":72120},{"name":"response_ns_p99","value":303102.0,"lower":278000.0,"upper":428000.0,"unit":"ns","better":"lower","class":"wall","n":72120},{"name":"response_ns_p999","value":2408446.0,"lower":1220000.0,"upper":6200000.0,"unit":"ns","better":"lower","class":"wall","n":72120},{"name":"service_ns_p50","value":44094.0,"lower":43200.0,"upper":45600.0,"unit":"ns","better":"lower","class":"wall","n":72120},{"name":"service_ns_p99","value":194046.0,"lower":182000.0,"upper":242000.0,"unit":"ns","better":"lower","class":"wall","n":72120},{"name":"queue_delay_ns_p99","value":122046.0,"lower":110000.0,"upper":180000.0,"unit":"ns","better":"lower","class":"wall","n":72120},{"name":"success_ratio","value":0.99996,"lower":0.9999,"upper":1.0,"unit":"1","better":"higher","class":"wall","n":72120},{"name":"messages_per_commit","value":1.1732,"lower":1.1521,"upper":1.1944,"unit":"1","better":"lower","class":"wall","n":12},{"name":"messages_per_commit_over_floor","value":1.021,"lower":1.003,"upper":1.039,"unit":"1","better":"lower","class":"wall","n":12},{"name":"heartbeats_per_s","value":40.0,"lower":null,"upper":null,"unit":"1/s","better":"neither","class":"wall","n":1},{"name":"bytes_per_commit","value":389.6,"lower":386.2,"upper":393.1,"unit":"bytes","better":"lower","class":"wall","n":12},{"name":"cpu_ns_per_commit","value":21450.0,"lower":21128.25,"upper":21814.649999999998,"unit":"ns","better":"lower","class":"cpu","n":12},{"name":"commands_per_proposal","value":3.41,"lower":3.35,"upper":3.48,"unit":"1","better":"neither","class":"wall","n":12},{"name":"messages_per_wake_up","value":1.9,"lower":1.85,"upper":1.97,"unit":"1","better":"neither","class":"wall","n":12},{"name":"lateness_ns_p99","value":31000.0,"lower":null,"upper":null,"unit":"ns","better":"neither","class":"wall","n":72120},{"name":"achieved_over_offered","value":0.9998,"lower":null,"upper":null,"unit":"1","better":"neither","class":"wall","n":12},{"name":"run_delay_ratio","value":0.004,"lower":null,"upper":null,"unit":"1","better":"neither","class":"wall","n":1}],"phases":[{"phase":"warm_up","duration_s":0.5,"intervals":[{"start_s":0.0,"duration_s":0.5,"offered_per_s":10000.0,"sent":5003,"succeeded":5000,"failed":3,"mean_ns":60000.0,"p95_ns":120000,"p99_ns":300031,"p50_ns":0,"cpu_ns":null,"messages":0,"bytes":0,"syncs":0}],"metrics":[],"histograms":{}},{"phase":"steady","duration_s":3.0,"intervals":[{"start_s":0.0,"duration_s":0.25,"offered_per_s":10000.0,"sent":2500,"succeeded":2500,"failed":0,"mean_ns":45120.5,"p95_ns":88063,"p99_ns":151551,"p50_ns":0,"cpu_ns":null,"messages":0,"bytes":0,"syncs":0},{"start_s":0.25,"duration_s":0.25,"offered_per_s":12500.0,"sent":3125,"succeeded":3125,"failed":0,"mean_ns":45121.5,"p95_ns":88064,"p99_ns":151552,"p50_ns":0,"cpu_ns":null,"messages":0,"bytes":0,"syncs":0},{"start_s":0.5,"duration_s":0.25,"offered_per_s":15000.0,"sent":3750,"succeeded":3750,"failed":0,"mean_ns":45122.5,"p95_ns":88065,"p99_ns":151553,"p50_ns":0,"cpu_ns":null,"messages":0,"bytes":0,"syncs":0}],"metrics":[{"name":"throughput_per_s","value":12020.0,"lower":11865.25,"upper":12155.6,"unit":"1/s","better":"higher","class":"wall","n":12},{"name":"response_ns_p50","value":82430.0,"lower":80200.0,"upper":84600.0,"unit":"ns","better":"lower","class":"wall","n":72120}],"histograms":{"response":"high_load.openraft.channel-memory.steady.response.hlog"}}],"fsync":null}');
CREATE TABLE metrics (
        entry INTEGER NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        value REAL NOT NULL,
        lower REAL,
        upper REAL,
        unit TEXT NOT NULL,
        PRIMARY KEY (entry, name)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "metrics" VALUES(1,'achieved_over_offered',0.9998,NULL,NULL,'1');
INSERT INTO "metrics" VALUES(1,'bytes_per_commit',389.6,386.2,393.1,'bytes');
INSERT INTO "metrics" VALUES(1,'commands_per_proposal',3.41,3.35,3.48,'1');
INSERT INTO "metrics" VALUES(1,'cpu_ns_per_commit',9120.0,8983.2,9.27503999999999905433e+03,'ns');
INSERT INTO "metrics" VALUES(1,'heartbeats_per_s',40.0,NULL,NULL,'1/s');
INSERT INTO "metrics" VALUES(1,'lateness_ns_p99',31000.0,NULL,NULL,'ns');
INSERT INTO "metrics" VALUES(1,'messages_per_commit',1.1732,1.1521,1.1944,'1');
INSERT INTO "metrics" VALUES(1,'messages_per_commit_over_floor',1.021,1.003,1.039,'1');
INSERT INTO "metrics" VALUES(1,'messages_per_wake_up',1.9,1.85,1.97,'1');
INSERT INTO "metrics" VALUES(1,'queue_delay_ns_p99',61023.0,55000.0,90000.0,'ns');
INSERT INTO "metrics" VALUES(1,'response_ns_p50',41215.0,40100.0,42300.0,'ns');
INSERT INTO "metrics" VALUES(1,'response_ns_p95',88063.0,84000.0,95103.0,'ns');
INSERT INTO "metrics" VALUES(1,'response_ns_p99',151551.0,139000.0,214000.0,'ns');
INSERT INTO "metrics" VALUES(1,'response_ns_p999',1204223.0,610000.0,3100000.0,'ns');
INSERT INTO "metrics" VALUES(1,'run_delay_ratio',0.004,NULL,NULL,'1');
INSERT INTO "metrics" VALUES(1,'service_ns_p50',22047.0,21600.0,22800.0,'ns');
INSERT INTO "metrics" VALUES(1,'service_ns_p99',97023.0,91000.0,121000.0,'ns');
INSERT INTO "metrics" VALUES(1,'success_ratio',0.99996,0.9999,1.0,'1');
INSERT INTO "metrics" VALUES(1,'throughput_per_s',24040.0,23730.5,24311.2,'1/s');
INSERT INTO "metrics" VALUES(2,'achieved_over_offered',0.9998,NULL,NULL,'1');
INSERT INTO "metrics" VALUES(2,'bytes_per_commit',389.6,386.2,393.1,'bytes');
INSERT INTO "metrics" VALUES(2,'commands_per_proposal',3.41,3.35,3.48,'1');
INSERT INTO "metrics" VALUES(2,'cpu_ns_per_commit',21450.0,21128.25,2.18146499999999978164e+04,'ns');
INSERT INTO "metrics" VALUES(2,'heartbeats_per_s',40.0,NULL,NULL,'1/s');
INSERT INTO "metrics" VALUES(2,'lateness_ns_p99',31000.0,NULL,NULL,'ns');
INSERT INTO "metrics" VALUES(2,'messages_per_commit',1.1732,1.1521,1.1944,'1');
INSERT INTO "metrics" VALUES(2,'messages_per_commit_over_floor',1.021,1.003,1.039,'1');
INSERT INTO "metrics" VALUES(2,'messages_per_wake_up',1.9,1.85,1.97,'1');
INSERT INTO "metrics" VALUES(2,'queue_delay_ns_p99',122046.0,110000.0,180000.0,'ns');
INSERT INTO "metrics" VALUES(2,'response_ns_p50',82430.0,80200.0,84600.0,'ns');
INSERT INTO "metrics" VALUES(2,'response_ns_p95',176126.0,168000.0,190206.0,'ns');
INSERT INTO "metrics" VALUES(2,'response_ns_p99',303102.0,278000.0,428000.0,'ns');
INSERT INTO "metrics" VALUES(2,'response_ns_p999',2408446.0,1220000.0,6200000.0,'ns');
INSERT INTO "metrics" VALUES(2,'run_delay_ratio',0.004,NULL,NULL,'1');
INSERT INTO "metrics" VALUES(2,'service_ns_p50',44094.0,43200.0,45600.0,'ns');
INSERT INTO "metrics" VALUES(2,'service_ns_p99',194046.0,182000.0,242000.0,'ns');
INSERT INTO "metrics" VALUES(2,'success_ratio',0.99996,0.9999,1.0,'1');
INSERT INTO "metrics" VALUES(2,'throughput_per_s',12020.0,11865.25,12155.6,'1/s');
CREATE INDEX entries_by_time ON entries (recorded_unix_ms);
CREATE INDEX entries_by_expiry ON entries (expires_unix_ms) WHERE expires_unix_ms IS NOT NULL;
CREATE INDEX metrics_by_name ON metrics (name, entry);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('entries',2);
COMMIT;
PRAGMA application_id = 1667393657;
PRAGMA user_version = 1;
