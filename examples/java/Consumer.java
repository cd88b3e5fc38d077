// Keeps the last status of each class in SQLite; survives copies, failures, crashes and bodies that are no event.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Delivery;
import java.io.IOException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Map;

public class Consumer {
    static final String QUEUE = "crm";
    static final String DEAD = QUEUE + ".dead";
    static final ObjectMapper JSON = new ObjectMapper();
    static Connection inbox;

    public static void main(String[] arguments) throws Exception {
        inbox = DriverManager.getConnection("jdbc:sqlite:" + System.getenv().getOrDefault("DATABASE", "crm.db"));
        run("CREATE TABLE IF NOT EXISTS inbox (id TEXT PRIMARY KEY)");
        run("CREATE TABLE IF NOT EXISTS class (key TEXT PRIMARY KEY, status TEXT, changes INT, last TEXT)");
        inbox.setAutoCommit(false);

        var factory = new ConnectionFactory();
        factory.setUri(System.getenv("AMQP_URL"));
        var channel = factory.newConnection().createChannel(); // it connects again by itself
        channel.basicQos(32);
        channel.queueDeclare(DEAD, true, false, false, Map.of("x-queue-type", "quorum"));
        channel.queueDeclare(QUEUE, true, false, false, Map.of(
            "x-queue-type", "quorum",
            "x-dead-letter-exchange", "",
            "x-dead-letter-routing-key", DEAD,
            "x-delivery-limit", 20));
        channel.queueBind(QUEUE, "tms.events", "tms.class.*");
        channel.basicConsume(QUEUE, false, (tag, message) -> handle(channel, message), tag -> System.exit(1));
    }

    static void handle(Channel channel, Delivery message) throws IOException {
        long delivery = message.getEnvelope().getDeliveryTag();
        JsonNode event = read(message.getBody());
        if (event == null) {
            channel.basicReject(delivery, false); // to the dead letters at once: no retry makes it an event
            return;
        }
        try {
            apply(event);
            channel.basicAck(delivery, false);
        } catch (SQLException error) {
            pause(); // what failed now may work later; 20 times, then to the dead letters
            channel.basicNack(delivery, false, true);
        }
    }

    /** Return the event of a class that a body holds, or null. Members that are not asked for are ignored. */
    static JsonNode read(byte[] body) {
        try {
            JsonNode event = JSON.readTree(body);
            boolean whole = event.path("id").isTextual() && event.path("status").isTextual()
                && event.path("class").path("id").isIntegralNumber();
            return whole ? event : null;
        } catch (IOException error) {
            return null;
        }
    }

    /** Apply an event once, however often it comes: its id and its effect are one transaction. */
    static void apply(JsonNode event) throws SQLException {
        String id = event.path("id").asText();
        String key = event.path("source").asText() + "/class/" + event.path("class").path("id").asText();
        try {
            if (run("INSERT OR IGNORE INTO inbox VALUES (?)", id) == 0) {
                return; // a copy
            }
            // Ids rise with time: an older event that comes late changes no status.
            run("INSERT INTO class VALUES (?, ?, 1, ?) ON CONFLICT (key) DO UPDATE SET changes = changes + 1,"
                + " status = iif(excluded.last > last, excluded.status, status),"
                + " last = max(excluded.last, last)", key, event.path("status").asText(), id);
            String state = status(key);
            inbox.commit();
            System.out.println(JSON.createObjectNode().put("handled", id).put("state", state));
        } finally {
            inbox.rollback(); // of what was not committed
        }
    }

    static int run(String statement, String... values) throws SQLException {
        try (PreparedStatement prepared = inbox.prepareStatement(statement)) {
            for (int place = 0; place < values.length; place++) {
                prepared.setString(place + 1, values[place]);
            }
            return prepared.executeUpdate();
        }
    }

    static String status(String key) throws SQLException {
        try (PreparedStatement prepared = inbox.prepareStatement("SELECT status FROM class WHERE key = ?")) {
            prepared.setString(1, key);
            try (ResultSet found = prepared.executeQuery()) {
                return found.next() ? found.getString(1) : null;
            }
        }
    }

    static void pause() {
        try {
            Thread.sleep(1000);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }
}
