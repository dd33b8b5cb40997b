-- A shop in memory: customers, orders and their lines, loaded, indexed and asked.
.bail on
.mode list
PRAGMA temp_store = memory;
CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL, town TEXT NOT NULL);
CREATE TABLE purchase (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, day INTEGER NOT NULL);
CREATE TABLE line (purchase INTEGER NOT NULL, article TEXT NOT NULL, pieces INTEGER NOT NULL,
                   price INTEGER NOT NULL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
INSERT INTO customer SELECT i, printf('customer %d of %s', i, hex(i * 7919 % 65536)),
                            printf('town %d', i * 31 % 97) FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 36000)
INSERT INTO purchase SELECT i, i * 48271 % 6000 + 1, i * 16807 % 365 FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 108000)
INSERT INTO line SELECT i % 36000 + 1, printf('article %05d', i * 69621 % 4001),
                        i % 7 + 1, i * 39373 % 9973 FROM n;
CREATE INDEX purchase_customer ON purchase (customer, day);
CREATE INDEX line_purchase ON line (purchase);
CREATE INDEX line_article ON line (article, pieces);
SELECT town, count(*), sum(pieces * price)
  FROM customer JOIN purchase ON purchase.customer = customer.id
                JOIN line ON line.purchase = purchase.id
 GROUP BY town ORDER BY 3 DESC LIMIT 12;
SELECT article, count(DISTINCT customer), group_concat(DISTINCT day % 10)
  FROM line JOIN purchase ON purchase.id = line.purchase
 WHERE article LIKE 'article 01%' GROUP BY article ORDER BY 2 DESC, 1 LIMIT 12;
SELECT name, upper(replace(name, 'customer', 'client')), length(name)
  FROM customer WHERE id IN (SELECT customer FROM purchase GROUP BY customer
                             HAVING count(*) > 10) ORDER BY name LIMIT 12;
SELECT day / 30, count(*), max(total), min(total), avg(total)
  FROM (SELECT purchase.id, day, sum(pieces * price) AS total,
               rank() OVER (PARTITION BY day / 30 ORDER BY sum(pieces * price) DESC) AS place
          FROM purchase JOIN line ON line.purchase = purchase.id GROUP BY purchase.id)
 WHERE place <= 100 GROUP BY 1 ORDER BY 1;
UPDATE line SET price = price * 11 / 10 WHERE article > 'article 02000';
DELETE FROM line WHERE purchase IN (SELECT id FROM purchase WHERE day < 30);
SELECT count(*), sum(price), sum(length(article)) FROM line;
-- The same as documents: text that is built, taken apart and compared.
CREATE TABLE document (purchase INTEGER PRIMARY KEY, body TEXT NOT NULL);
INSERT INTO document
  SELECT purchase, json_object('lines', json_group_array(json_object('article', article,
                                        'pieces', pieces, 'price', price)),
                               'note', substr('to be left with a neighbour', 1, purchase % 27))
    FROM line GROUP BY purchase;
SELECT count(*), sum(length(body)), sum(json_array_length(body, '$.lines')) FROM document;
SELECT json_extract(each.value, '$.article') AS article, count(*),
       sum(json_extract(each.value, '$.pieces'))
  FROM document, json_each(document.body, '$.lines') AS each
 GROUP BY article ORDER BY 3 DESC, 1 LIMIT 12;
SELECT upper(replace(json_extract(body, '$.note'), 'left', 'put')) AS note, count(*)
  FROM document GROUP BY note ORDER BY 2 DESC, 1 LIMIT 12;
PRAGMA integrity_check;
